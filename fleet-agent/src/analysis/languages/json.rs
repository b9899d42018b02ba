//! JSON, with the comments that some programs allow.

use super::{Cognitive, Language, Rescue, Visibility};

pub(super) static JSON: Language = Language {
    name: "json",
    extensions: &["json", "jsonc"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_json::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["string"],
    texts: &[],
    code_in_atoms: &[],
    definitions: &[],
    decisions: &[],
    cognitive: Cognitive::NONE,
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[],
    parameter_lists: &[],
    not_parameters: &[],
    visibility: Visibility::None,
};
