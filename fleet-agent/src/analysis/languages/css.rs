//! CSS.

use super::{Cognitive, Language, Rescue, Visibility};

pub(super) static CSS: Language = Language {
    name: "css",
    extensions: &["css"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_css::LANGUAGE.into(),
    separator: ".",
    comments: &["comment", "js_comment"],
    atoms: &["string_value", "color_value", "integer_value", "float_value"],
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
