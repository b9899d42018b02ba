//! YAML.

use super::{Cognitive, Language, Rescue, Visibility};

pub(super) static YAML: Language = Language {
    name: "yaml",
    extensions: &["yaml", "yml"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_yaml::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["plain_scalar", "single_quote_scalar", "double_quote_scalar", "block_scalar", "anchor", "alias"],
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
