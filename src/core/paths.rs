//! Paths as bytes: relative, with `/`, never leaving the folder they are relative to.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest path that is accepted, in bytes: Linux's own limit.
pub const PATH_BYTES_MAX: usize = 4096;

/// A path inside a project. Not necessarily UTF-8; no `.`, no `..`, no empty part, no NUL, not absolute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Vec<u8>);

/// Why some bytes are no path inside a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    Empty,
    TooLong,
    Absolute,
    /// A part that is empty, `.` or `..`, or holds a NUL.
    Part,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathError::Empty => "the path is empty",
            PathError::TooLong => "the path is longer than 4096 bytes",
            PathError::Absolute => "the path is absolute",
            PathError::Part => "a part of the path is empty, `.`, `..` or holds a NUL",
        })
    }
}

impl core::error::Error for PathError {}

impl RelativePath {
    pub fn new(bytes: Vec<u8>) -> Result<RelativePath, PathError> {
        match bytes.first() {
            None => return Err(PathError::Empty),
            Some(b'/') => return Err(PathError::Absolute),
            Some(_) if bytes.len() > PATH_BYTES_MAX => return Err(PathError::TooLong),
            Some(_) => {}
        }
        let sound = |part: &[u8]| !part.is_empty() && part != b"." && part != b".." && !part.contains(&0);
        if bytes.split(|&byte| byte == b'/').all(sound) { Ok(RelativePath(bytes)) } else { Err(PathError::Part) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The folder, without the last part; empty for a file at the top.
    pub fn folder(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        &self.0[..end]
    }

    /// For people: invalid bytes become U+FFFD.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// What comes from outside is checked here, so that a path that exists is a path that is safe.
impl<'de> Deserialize<'de> for RelativePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = RelativePath;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a relative path")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<RelativePath, E> {
                RelativePath::new(bytes.to_vec()).map_err(E::custom)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RelativePath, E> {
                self.visit_bytes(text.as_bytes())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_project_do_not_exist() {
        for bad in ["", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/", "a\0b"] {
            assert!(RelativePath::new(bad.into()).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.c", "...", "a/..b"] {
            assert!(RelativePath::new(good.into()).is_ok(), "{good:?}");
        }
        assert_eq!(RelativePath::new(alloc::vec![b'a'; PATH_BYTES_MAX + 1]), Err(PathError::TooLong));
    }

    #[test]
    fn folder_is_what_stands_before_the_last_slash() {
        assert_eq!(RelativePath::new("a/b/c.rs".into()).unwrap().folder(), b"a/b");
        assert_eq!(RelativePath::new("c.rs".into()).unwrap().folder(), b"");
    }
}
