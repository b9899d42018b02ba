//! A grammar call that really aborts, so that tests can prove what happens then. In release builds it does not exist.

use std::sync::OnceLock;

/// Tests set this to a text; a debug build aborts inside the parser on a file that holds it.
const VARIABLE: &str = "BITACORA_TEST_ABORT_ON";

/// Called from inside of `ts_parser_parse`, where the grammar reads its input.
pub(super) fn abort_if_asked(text: &[u8]) {
    static MARK: OnceLock<Option<String>> = OnceLock::new();
    let asked = || MARK.get_or_init(|| std::env::var(VARIABLE).ok()).as_ref();
    if cfg!(debug_assertions) && asked().is_some_and(|mark| memchr::memmem::find(text, mark.as_bytes()).is_some()) {
        std::process::abort();
    }
}
