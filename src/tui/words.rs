//! A command line in words, and words as a command line. No shell: quotes keep a word together, and nothing else is special.

/// Splits at spaces; `'…'` and `"…"` keep together, `\` keeps the next character as it is. `None` where a quote is not ended.
pub fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(letters.next()?),
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
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
        for words in [vec!["node", "cordon", "anvil"], vec!["analyze", "--", "/a b/it's \"x\"\\"], vec!["", "$(x)", "*"]] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(split(&join(&words)), Some(words));
        }
        assert_eq!(split("  a  'b c'd  "), Some(vec!["a".into(), "b cd".into()]));
        assert_eq!(split("a 'b"), None);
        assert_eq!(split(""), Some(Vec::new()));
    }
}
