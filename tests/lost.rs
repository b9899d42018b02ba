//! A result of which a part is gone or damaged: what is there is answered, what is not is named, and the next analysis heals it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::support::{Place, report, timeless};

fn packs(place: &Place) -> Vec<PathBuf> {
    let shards = fs::read_dir(place.data().join("packs")).unwrap().flatten();
    let mut packs: Vec<PathBuf> = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten()).map(|entry| entry.path()).collect();
    packs.sort();
    packs
}

fn paths(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn symbols_are_found_in_what_is_left() {
    let damages: [fn(&Path); 3] = [
        |pack| fs::remove_file(pack).unwrap(),
        |pack| fs::write(pack, b"no pack").unwrap(),
        |pack| fs::write(pack, vec![0x55; pack.metadata().unwrap().len() as usize]).unwrap(),
    ];
    for damage in damages {
        let place = Place::new();
        place.fill(6);
        // Each language's files in a pack of their own.
        let tree = place.tree();
        let whole = report(&place.run(&["analyze", tree.to_str().unwrap(), "--partition", "by-language", "-o", "json"]), 0);
        let found = report(&place.run(&["symbols", "function_1_1", "-o", "json"]), 0);
        let packs = packs(&place);
        assert!(packs.len() > 1, "{packs:?}");
        damage(&packs[0]);
        for query in ["function_1_1", "fnction11"] {
            let partial = report(&place.run(&["symbols", query, "-o", "json"]), 3);
            let (items, lost) = (paths(&partial["items"]), paths(&partial["errors"]));
            assert!(!items.is_empty() && !lost.is_empty() && items.iter().all(|path| !lost.contains(path)), "{query}: {partial}");
            let schema = report(&place.run(&["schema", "symbols"]), 0);
            assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&partial), "{partial}");
        }
        let said = place.run(&["symbols", "function_1_1"]);
        let notes = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(3) && !said.stdout.is_empty(), "{said:?}");
        assert!(notes.contains("damaged or gone, and the next analysis makes them again: d"), "{notes}");
        assert_eq!(place.run(&["symbols", "no_such_symbol_anywhere"]).status.code(), Some(3), "it might be in what is lost");
        let metrics = report(&place.run(&["metrics", "-o", "json"]), 3);
        assert_eq!(paths(&metrics["items"]).len() + paths(&metrics["errors"]).len(), 12);
        for format in ["plain", "name"] {
            let output = place.run(&["metrics", "-o", format]);
            assert_eq!(output.status.code(), Some(0), "what is in the summary is whole: {output:?}");
        }
        assert_eq!(timeless(place.analyse(0)), timeless(whole), "the next analysis makes it again");
        assert_eq!(report(&place.run(&["symbols", "function_1_1", "-o", "json"]), 0)["items"], found["items"]);
    }
}
