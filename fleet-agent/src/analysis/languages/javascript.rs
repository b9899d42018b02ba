//! JavaScript, with JSX: the grammar takes both.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static JAVASCRIPT: Language = Language {
    name: "javascript",
    extensions: &["js", "mjs", "cjs", "jsx"],
    file_names: &["Jakefile"],
    interpreters: &["node", "nodejs", "bun", "qjs", "gjs"],
    grammar: || tree_sitter_javascript::LANGUAGE.into(),
    separator: ".",
    comments: &["comment", "html_comment"],
    atoms: &["string", "regex"],
    texts: &["template_string"],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "generator_function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "function_expression", kind: SymbolKind::Function, name: Name::FieldOrBinding("name"), role: Role::Function, needs: "" },
        Definition { node: "generator_function", kind: SymbolKind::Function, name: Name::FieldOrBinding("name"), role: Role::Function, needs: "" },
        Definition { node: "arrow_function", kind: SymbolKind::Function, name: Name::Binding, role: Role::Function, needs: "" },
        Definition { node: "method_definition", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "class_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "class", kind: SymbolKind::Class, name: Name::FieldOrBinding("name"), role: Role::Container, needs: "" },
        Definition { node: "field_definition", kind: SymbolKind::Property, name: Name::Field("property"), role: Role::Leaf, needs: "" },
        Definition { node: "variable_declarator", kind: SymbolKind::Variable, name: Name::Field("name"), role: Role::OuterLeaf, needs: "" },
    ],
    decisions: &[
        Token("if"),
        Token("for"),
        Token("while"),
        Token("catch"),
        // A rejected promise is caught by a method of that name; lizard sees the same token.
        Text("property_identifier", "catch"),
        Token("case"),
        Token("&&"),
        Token("||"),
        Token("??"),
        Token("&&="),
        Token("||="),
        Token("??="),
        In("ternary_expression", "?"),
        In("assignment_pattern", "="),
        In("object_assignment_pattern", "="),
    ],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("for_in_statement"),
            Node("while_statement"),
            Node("do_statement"),
            Node("switch_statement"),
            Node("catch_clause"),
            Node("ternary_expression"),
        ],
        flat: &[Node("else_clause"), In("break_statement", "statement_identifier"), In("continue_statement", "statement_identifier")],
        nests: &[],
        logical: &["&&", "||", "??"],
        ifs: &["if_statement"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[
        Import { node: "import_statement", target: Target::Field("source") },
        Import { node: "export_statement", target: Target::Field("source") },
        Import {
            node: "call_expression",
            target: Target::Call { function_field: "function", functions: &["require", "import"], arguments_field: "arguments" },
        },
    ],
    parameter_lists: &["formal_parameters"],
    not_parameters: &[],
    visibility: Visibility::None,
};
