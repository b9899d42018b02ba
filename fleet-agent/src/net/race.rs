//! Several ways to the same peer, of which some may lead nowhere: begun one beside the other, until one has answered (as RFC 8305
//! does with addresses).

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::carrier::Carrier;

/// After this the next way is tried beside those that have not answered yet.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Every address by every carrier, in this order.
pub fn ways<'a>(addresses: &'a [SocketAddr], carriers: &'a [Carrier]) -> impl Iterator<Item = (Carrier, SocketAddr)> + 'a {
    addresses.iter().flat_map(|address| carriers.iter().map(|carrier| (*carrier, *address)))
}

/// What came of the first way that answered; the others are given up. An error may be an answer too. `Err(None)` where there is no way.
pub async fn first_to_answer<T, E, F>(
    ways: impl Iterator<Item = (Carrier, SocketAddr)>,
    attempt: impl Fn(Carrier, SocketAddr) -> F,
    is_answer: impl Fn(&E) -> bool,
) -> Result<T, Option<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let (mut waiting, mut attempts) = (ways.collect::<VecDeque<_>>(), JoinSet::new());
    let (mut next, mut failure) = (Instant::now(), None);
    while !(waiting.is_empty() && attempts.is_empty()) {
        tokio::select! {
            Some(done) = attempts.join_next() => match done.expect("an attempt neither panics nor is ended while it is waited for") {
                Ok(answer) => return Ok(answer),
                Err(answer) if is_answer(&answer) => return Err(Some(answer)),
                Err(error) => {
                    failure = Some(error);
                    if attempts.is_empty() {
                        next = Instant::now();
                    }
                }
            },
            () = sleep_until(next), if !waiting.is_empty() => {
                let (carrier, address) = waiting.pop_front().expect("it is not empty");
                attempts.spawn(attempt(carrier, address));
                next = Instant::now() + NEXT_AFTER;
            }
        }
    }
    Err(failure)
}
