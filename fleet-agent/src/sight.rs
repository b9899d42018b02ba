//! Which of the master's trees lie on this machine's disk too, and where: on a disk that both have, or as a clone.
//!
//! Nobody is believed because of it. What is read here counts only if its bytes are those that were asked for by their hash;
//! everything else is brought.

use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use bitacora_core::wire::node::Sources;
use serde_bytes::ByteBuf;

use crate::root::Root;

/// What this machine sees of the master's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    Nothing,
    /// It is the same machine.
    Everything,
    /// These folders, and what lies in them.
    Folders(Vec<Folder>),
}

/// A folder of the master's that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// As the master names it.
    there: PathBuf,
    here: PathBuf,
}

impl FromStr for Folder {
    type Err = String;

    /// `DIR`, or `THERE=HERE`.
    fn from_str(text: &str) -> Result<Folder, String> {
        let (there, here) = text.split_once('=').unwrap_or((text, text));
        let folder = Folder { there: there.into(), here: here.into() };
        let is_plain = |path: &Path| path.is_absolute() && path.components().all(is_name);
        if is_plain(&folder.there) && is_plain(&folder.here) { Ok(folder) } else { Err(format!("{text:?}: both folders are named from / on, without ..")) }
    }
}

impl Folder {
    /// Where it is on this machine.
    pub fn here(&self) -> &Path {
        &self.here
    }
}

/// Not one that leads elsewhere.
fn is_name(component: Component<'_>) -> bool {
    matches!(component, Component::RootDir | Component::Normal(_))
}

impl Sight {
    /// Where a tree of the master's lies here, if it is one of those.
    pub fn place(&self, tree: &Path) -> Option<PathBuf> {
        match self {
            Sight::Nothing => None,
            Sight::Everything => Some(tree.to_owned()),
            Sight::Folders(folders) => {
                let below = |folder: &Folder| tree.strip_prefix(&folder.there).ok().map(|rest| folder.here.components().chain(rest.components()).collect());
                tree.components().all(is_name).then(|| folders.iter().find_map(below)).flatten()
            }
        }
    }

    /// As the master is told.
    pub fn sources(&self) -> Sources {
        let there = |folder: &Folder| ByteBuf::from(folder.there.as_os_str().as_bytes().to_vec());
        match self {
            Sight::Nothing => Sources::default(),
            Sight::Everything => Sources { everything: true, folders: Vec::new() },
            Sight::Folders(folders) => Sources { everything: false, folders: folders.iter().map(there).collect() },
        }
    }

    /// `None` for a tree that is not here; the error of one that should be.
    pub fn open(&self, tree: &Path) -> Option<io::Result<Root>> {
        self.place(tree).map(|place| Root::open(&place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_here_if_a_folder_that_holds_it_is() {
        let sight = Sight::Folders(["/srv/src", "/home/ada/linux=/clones/linux"].map(|text| text.parse().unwrap()).into());
        let place = |tree: &str| sight.place(Path::new(tree)).map(|place| place.to_str().unwrap().to_owned());
        for (tree, here) in [("/srv/src", "/srv/src"), ("/srv/src/a", "/srv/src/a"), ("/home/ada/linux/fs", "/clones/linux/fs")] {
            assert_eq!(place(tree).as_deref(), Some(here));
        }
        for tree in ["/srv", "/srv/srcs", "/etc", "/srv/src/../../etc", "/home/ada", "srv/src"] {
            assert_eq!(place(tree), None, "{tree}");
        }
        assert_eq!((Sight::Nothing.place(Path::new("/a")), Sight::Everything.place(Path::new("/a"))), (None, Some("/a".into())));
    }

    #[test]
    fn a_folder_is_named_from_the_root_on() {
        for text in ["", "src", "/a=b", "a=/b", "/a/../b", "=/a"] {
            assert!(text.parse::<Folder>().is_err(), "{text}");
        }
    }
}
