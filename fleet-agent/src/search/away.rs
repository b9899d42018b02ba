//! A search that somebody else asks for: in these packs, at most so many names, and where they are defined.

use bitacora_core::ids::Digest;
use serde::{Deserialize, Serialize};

use super::{Best, Fuzzy, Key, Literal, Place, Search};
use crate::{
    blobs::Blobs,
    pack::{PackError, Segment, SymbolRef},
};

/// Names that a node keeps for one search; whoever wants more looks in the packs.
pub const NAMES_MAX: usize = 1 << 20;

/// What is looked for, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamesWanted {
    pub query: String,
    pub fuzzy: bool,
    pub names_max: u64,
    pub packs: Vec<Digest>,
}

/// What was found, the best names first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundNames {
    pub names: Vec<FoundName>,
    /// There were others.
    pub dropped: bool,
    /// Packs that are not here, or damaged.
    pub missed: Vec<Digest>,
}

/// A name, and where it is defined: the pack, the record in it, the symbol in that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundName {
    pub key: Key,
    pub places: Vec<(Digest, u32, u32)>,
}

/// Looks through packs that are here.
pub fn search(here: &Blobs, wanted: &NamesWanted) -> FoundNames {
    let mut found = FoundNames::default();
    let mut best = Best::new(usize::try_from(wanted.names_max).unwrap_or(usize::MAX).min(NAMES_MAX));
    let way: &dyn Search = if wanted.fuzzy { &Fuzzy::new(&wanted.query) } else { &Literal::new(&wanted.query) };
    let mut segment = Segment::default();
    for (number, &name) in (0..).zip(&wanted.packs) {
        let searched = segment.open(&here.path(name)).and_then(|()| way.in_segment(&mut segment, number, &mut best));
        if searched.is_err() {
            found.missed.push(name);
        }
    }
    found.dropped = best.dropped;
    for (key, places) in best.names {
        let places = places.into_iter().filter_map(|place| places_of(here, &wanted.packs, place, &mut segment).ok()).flatten().collect();
        found.names.push(FoundName { key, places });
    }
    found
}

fn places_of(here: &Blobs, packs: &[Digest], place: Place, segment: &mut Segment) -> Result<Vec<(Digest, u32, u32)>, PackError> {
    let Place::Pack(pack, number) = place else { return Ok(Vec::new()) };
    let name = packs[pack as usize];
    segment.open(&here.path(name))?;
    segment.load_rows()?;
    let occurrences = segment.occurrences(number)?;
    Ok(occurrences.into_iter().map(|SymbolRef { entry, ordinal }| (name, entry, ordinal)).collect())
}

#[cfg(test)]
mod tests {
    use bitacora_core::wire::record::{FileRecord, Symbol, SymbolKind};

    use super::*;
    use crate::{pack::PackWriter, search::Fit};

    fn pack(names: &[&str]) -> Vec<u8> {
        let symbol = |name: &&str| Symbol {
            name: (*name).into(),
            kind: SymbolKind::Function,
            line: 1,
            column: 1,
            end_line: 2,
            container: String::new(),
            visibility: String::new(),
            signature: String::new(),
        };
        let mut writer = PackWriter::new(Digest([9; 32]));
        writer.add(Digest([1; 32]), &FileRecord { language: "c".into(), symbols: names.iter().map(symbol).collect(), ..FileRecord::default() });
        writer.finish()
    }

    #[test]
    fn names_are_found_with_their_places_and_what_is_not_here_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let here = Blobs::open(folder.path()).unwrap();
        let packs: Vec<Digest> = [&["alpha", "beta"][..], &["alphabet", "alpha"]].iter().map(|names| here.write(&pack(names)).unwrap()).collect();
        let gone = Digest([5; 32]);
        let ask = |query: &str, fuzzy, names_max| {
            let wanted = NamesWanted { query: query.into(), fuzzy, names_max, packs: vec![packs[0], gone, packs[1]] };
            search(&here, &wanted)
        };
        let found = ask("alpha", false, 10);
        assert_eq!((found.missed, found.dropped, found.names.len()), (vec![gone], false, 2));
        assert_eq!((found.names[0].key.fit, found.names[0].places.clone()), (Fit::Exact, vec![(packs[0], 0, 0), (packs[1], 0, 1)]));
        assert!(ask("alpha", false, 1).dropped);
        assert_eq!(ask("bta", true, 10).names.len(), 1, "beta has the letters");
    }
}
