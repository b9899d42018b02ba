//! HTML. Scripts and styles inside are text to this grammar.

use super::{Cognitive, Language, Rescue, Visibility};

pub(super) static HTML: Language = Language {
    name: "html",
    extensions: &["html", "htm", "xhtml"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_html::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["quoted_attribute_value"],
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
