//! HTML. Scripts and styles inside are text to this grammar.

use super::{Cognitive, Language, Visibility};

pub(super) static HTML: Language = Language {
    name: "html",
    extensions: &["html", "htm", "xhtml"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_html::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["quoted_attribute_value"],
    code_in_atoms: &[],
    definitions: &[],
    decisions: &[],
    cognitive: Cognitive::NONE,
    imports: &[],
    parameter_lists: &[],
    not_parameters: &[],
    visibility: Visibility::None,
};
