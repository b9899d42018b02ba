//! How long a code is good and how often it may be tried. Pure: time is an argument.

use std::time::Duration;

/// Times and tries of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A code is typed from one screen to another within this.
    pub code_max: Duration,
    /// The wrong code that is the last one.
    pub tries_max: u32,
    /// After a wrong code no other is judged for this long.
    pub pause: Duration,
    /// After the last one, so that a new code does not open the door at once: whoever guesses has some 20,000 tries a day
    /// at 2^40 codes.
    pub long_pause: Duration,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { code_max: Duration::from_secs(5 * 60), tries_max: 3, pause: Duration::from_secs(2), long_pause: Duration::from_secs(10) }
    }
}

/// What becomes of somebody who has shown whether it knows the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong {
        tries_left: u32,
    },
    /// Right or not is not told.
    NotNow {
        wait: Duration,
    },
    /// The code it tried is not the one that is good now.
    Over,
}

/// Times are since any fixed moment.
#[derive(Debug)]
pub(super) struct Door {
    rules: Rules,
    /// Tells the codes apart that were shown one after another.
    number: u64,
    until: Duration,
    tries_left: u32,
    closed_until: Duration,
}

impl Door {
    pub(super) fn new(now: Duration, rules: Rules) -> Door {
        Door { rules, number: 1, until: now + rules.code_max, tries_left: rules.tries_max, closed_until: now }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// When the code is to be replaced, if nobody tries it before.
    pub(super) fn until(&self) -> Duration {
        self.until
    }

    /// Is it time for a new code?
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.tries_left == 0 || now >= self.until
    }

    /// A new code is shown.
    pub(super) fn renew(&mut self, now: Duration) {
        *self = Door { number: self.number + 1, closed_until: self.closed_until, ..Door::new(now, self.rules) };
    }

    /// Somebody has tried the code of this number. A right one is good once.
    pub(super) fn judge(&mut self, now: Duration, number: u64, right: bool) -> Verdict {
        match () {
            () if number != self.number || self.is_over(now) => Verdict::Over,
            () if now < self.closed_until => Verdict::NotNow { wait: self.closed_until - now },
            () if right => {
                self.tries_left = 0;
                Verdict::Right
            }
            () => {
                self.tries_left -= 1;
                self.closed_until = now + if self.tries_left == 0 { self.rules.long_pause } else { self.rules.pause };
                Verdict::Wrong { tries_left: self.tries_left }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);
    const CODE_MAX: Duration = Duration::from_secs(300);
    const PAUSE: Duration = Duration::from_secs(2);
    const LONG_PAUSE: Duration = Duration::from_secs(10);

    fn door() -> Door {
        Door::new(START, Rules::default())
    }

    #[test]
    fn three_wrong_codes_are_the_end_of_the_right_one() {
        let mut door = door();
        let verdicts = [1, 2, 3].map(|try_number| door.judge(START + try_number * PAUSE, 1, false));
        assert_eq!(verdicts, [2, 1, 0].map(|tries_left| Verdict::Wrong { tries_left }));
        assert!(door.is_over(START + 3 * PAUSE));
        assert_eq!(door.judge(START + LONG_PAUSE * 2, 1, true), Verdict::Over);
    }

    #[test]
    fn a_code_is_good_for_five_minutes_and_once() {
        let mut door = door();
        assert_eq!(door.judge(START + CODE_MAX, 1, true), Verdict::Over);
        assert_eq!(door.judge(START + CODE_MAX - PAUSE, 1, true), Verdict::Right);
        assert_eq!(door.judge(START + CODE_MAX - PAUSE, 1, true), Verdict::Over);
    }

    #[test]
    fn after_a_wrong_code_not_even_the_right_one_is_judged_for_a_while() {
        let mut door = door();
        door.judge(START, 1, false);
        assert_eq!(door.judge(START + PAUSE / 2, 1, true), Verdict::NotNow { wait: PAUSE / 2 });
        assert_eq!(door.judge(START + PAUSE / 2, 1, false), Verdict::NotNow { wait: PAUSE / 2 }, "and costs no try");
        assert_eq!(door.judge(START + PAUSE, 1, true), Verdict::Right);
    }

    #[test]
    fn a_new_code_does_not_open_a_door_that_was_closed() {
        let mut door = door();
        for tried in 1..=3 {
            door.judge(START + tried * PAUSE, 1, false);
        }
        let now = START + 3 * PAUSE;
        door.renew(now);
        assert_eq!((door.number(), door.is_over(now)), (2, false));
        assert_eq!(door.judge(now, 2, true), Verdict::NotNow { wait: LONG_PAUSE });
        assert_eq!(door.judge(now, 1, true), Verdict::Over, "the code before is dead");
        assert_eq!(door.judge(now + LONG_PAUSE, 2, true), Verdict::Right);
    }
}
