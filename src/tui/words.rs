//! A command line in words, and words as a command line. No shell: quotes keep a word together, and nothing else is special; in a script comments and
//! `${NAME}` are, too.

/// What a variable stands for, if it stands for anything.
pub type Value<'v> = &'v dyn Fn(&str) -> Option<String>;

/// Why a line is no words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    #[error("a quote is not ended, or a \\ is the last letter")]
    Open,
    #[error("${{ is not followed by a name and }}; a name has letters, digits and _")]
    Reference,
    #[error("there is no variable {0}, neither set nor in the environment")]
    Variable(String),
}

/// Splits at spaces; `'…'` and `"…"` keep together, `\` keeps the next character as it is. `None` where a quote is not ended.
pub fn split(line: &str) -> Option<Vec<String>> {
    read(line, None).ok()
}

/// A line of a script: the same, but that nothing counts from a word on that begins with `#`, and that `${NAME}` stands for a value outside of
/// `'…'`. A value is never split: it cannot become more words than stand there.
pub fn split_script(line: &str, value: Value) -> Result<Vec<String>, WordsError> {
    read(line, Some(value))
}

/// Can it be the name of a variable?
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read(line: &str, value: Option<Value>) -> Result<Vec<String>, WordsError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter, value) {
            (Some(open), _, _) if letter == open => quote = None,
            (None, '\'' | '"', _) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\', _) => word.get_or_insert_default().push(letters.next().ok_or(WordsError::Open)?),
            (None | Some('"'), '$', Some(value)) if letters.as_str().starts_with('{') => {
                let (name, rest) = letters.as_str()[1..].split_once('}').filter(|(name, _)| is_name(name)).ok_or(WordsError::Reference)?;
                word.get_or_insert_default().push_str(&value(name).ok_or_else(|| WordsError::Variable(name.to_owned()))?);
                letters = rest.chars();
            }
            (None, '#', Some(_)) if word.is_none() => break,
            (None, _, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if quote.is_none() { Ok(words) } else { Err(WordsError::Open) }
}

/// As a person would type them.
pub fn join(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let inside: String = word.chars().flat_map(|c| if c == '\'' { "'\\''".chars().collect::<Vec<_>>() } else { vec![c] }).collect();
    format!("'{inside}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_their_line() {
        for words in [vec!["node", "cordon", "anvil"], vec!["analyze", "--", "/a b/it's \"x\"\\"], vec!["", "$(x)", "*"], vec!["${A}", "#", "a#b"]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(split(&join(&words)), Some(words.clone()));
            assert_eq!(split_script(&join(&words), &|_| None), Ok(words), "a script's line, too");
        }
        assert_eq!(split("  a  'b c'd  "), Some(vec!["a".into(), "b cd".into()]));
        assert_eq!((split("a 'b"), split("a\\")), (None, None));
        assert_eq!(split(""), Some(Vec::new()));
        assert_eq!(split("a #b ${C}"), Some(vec!["a".into(), "#b".into(), "${C}".into()]), "neither is special where a person types");
    }

    #[test]
    fn a_variable_stands_for_one_word_or_a_part_of_one() {
        let value = |name: &str| (name == "A_1").then(|| "x  'y' # ${B}".to_owned());
        let read = |line: &str| split_script(line, &value);
        assert_eq!(read("a ${A_1}-\"${A_1}\" b"), Ok(vec!["a".into(), "x  'y' # ${B}-x  'y' # ${B}".into(), "b".into()]));
        for kept in ["'${A_1}'", "\\${A_1}"] {
            assert_eq!(read(kept), Ok(vec!["${A_1}".into()]), "{kept}");
        }
        assert_eq!(read("$A_1 $"), Ok(vec!["$A_1".into(), "$".into()]));
        assert_eq!(read("${B}"), Err(WordsError::Variable("B".into())));
        for broken in ["${", "${}", "${A", "${1A}", "${A-1}", "${A B}"] {
            assert_eq!(read(broken), Err(WordsError::Reference), "{broken}");
        }
    }

    #[test]
    fn a_comment_ends_a_line_of_a_script() {
        let read = |line: &str| split_script(line, &|_| None).map(|words| words.join("|"));
        assert_eq!(read("# ${A} 'x"), Ok(String::new()));
        assert_eq!(read("a b#c '#' \\# # d"), Ok("a|b#c|#|#".into()));
    }
}
