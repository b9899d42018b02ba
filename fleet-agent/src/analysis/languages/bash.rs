//! Bash and other Bourne shells.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static BASH: Language = Language {
    name: "bash",
    extensions: &["sh", "bash", "bats", "ebuild", "eclass"],
    file_names: &["PKGBUILD", "APKBUILD"],
    interpreters: &["bash", "sh", "dash", "ksh", "ash"],
    grammar: || tree_sitter_bash::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["string", "raw_string", "ansi_c_string", "string_content", "heredoc_body", "heredoc_content", "regex"],
    texts: &["string", "raw_string"],
    code_in_atoms: &["command_substitution", "expansion", "simple_expansion", "arithmetic_expansion"],
    definitions: &[Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" }],
    // lizard has no reader for shells: McCabe by the same rules as in C, a `case` item each.
    decisions: &[
        Token("if"),
        Token("elif"),
        Token("for"),
        Token("select"),
        Token("while"),
        Token("until"),
        Node("case_item"),
        Token("&&"),
        Token("||"),
        In("ternary_expression", "?"),
    ],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("c_style_for_statement"),
            Node("while_statement"),
            Node("case_statement"),
            Node("ternary_expression"),
        ],
        flat: &[Node("elif_clause"), Node("else_clause")],
        nests: &[],
        logical: &["&&", "||"],
        ifs: &[],
        calls: &[("command", "name")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import { node: "command", target: Target::Call { function_field: "name", functions: &["source", "."], arguments_field: "argument" } }],
    parameter_lists: &[],
    not_parameters: &[],
    visibility: Visibility::None,
};
