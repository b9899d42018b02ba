//! TypeScript and TSX: two grammars, one table.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark, Mark::*, Name, Rescue, Role, Target, Visibility};

const COMMENTS: &[&str] = &["comment", "html_comment"];

const ATOMS: &[&str] = &["string", "regex", "predefined_type"];

const DEFINITIONS: &[Definition] = &[
    Definition { node: "function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
    Definition { node: "generator_function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
    Definition { node: "function_expression", kind: SymbolKind::Function, name: Name::FieldOrBinding("name"), role: Role::Function, needs: "" },
    Definition { node: "generator_function", kind: SymbolKind::Function, name: Name::FieldOrBinding("name"), role: Role::Function, needs: "" },
    Definition { node: "arrow_function", kind: SymbolKind::Function, name: Name::Binding, role: Role::Function, needs: "" },
    Definition { node: "method_definition", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Function, needs: "" },
    Definition { node: "function_signature", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    Definition { node: "method_signature", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    Definition { node: "abstract_method_signature", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    Definition { node: "class_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "abstract_class_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "class", kind: SymbolKind::Class, name: Name::FieldOrBinding("name"), role: Role::Container, needs: "" },
    Definition { node: "interface_declaration", kind: SymbolKind::Interface, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "enum_declaration", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "type_alias_declaration", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    Definition { node: "internal_module", kind: SymbolKind::Namespace, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "module", kind: SymbolKind::Module, name: Name::Field("name"), role: Role::Container, needs: "" },
    Definition { node: "public_field_definition", kind: SymbolKind::Property, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    Definition { node: "property_signature", kind: SymbolKind::Property, name: Name::Field("name"), role: Role::OuterLeaf, needs: "" },
    Definition { node: "variable_declarator", kind: SymbolKind::Variable, name: Name::Field("name"), role: Role::OuterLeaf, needs: "" },
];

const DECISIONS: &[Mark] = &[
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
    In("conditional_type", "?"),
    In("required_parameter", "="),
    In("optional_parameter", "="),
    In("assignment_pattern", "="),
    In("object_assignment_pattern", "="),
];

const STRUCTURES: &[Mark] = &[
    Node("if_statement"),
    Node("for_statement"),
    Node("for_in_statement"),
    Node("while_statement"),
    Node("do_statement"),
    Node("switch_statement"),
    Node("catch_clause"),
    Node("ternary_expression"),
];

const FLAT: &[Mark] = &[Node("else_clause"), In("break_statement", "statement_identifier"), In("continue_statement", "statement_identifier")];

const COGNITIVE: Cognitive = Cognitive {
    structures: STRUCTURES,
    flat: FLAT,
    nests: &[],
    logical: &["&&", "||", "??"],
    ifs: &["if_statement"],
    calls: &[("call_expression", "function")],
};

const IMPORTS: &[Import] = &[
    Import { node: "import_statement", target: Target::Field("source") },
    Import { node: "import_require_clause", target: Target::Field("source") },
    Import { node: "export_statement", target: Target::Field("source") },
    Import { node: "call_expression", target: Target::Call { function_field: "function", functions: &["require", "import"], arguments_field: "arguments" } },
];

const PARAMETER_LISTS: &[&str] = &["formal_parameters"];

const VISIBILITY: Visibility = Visibility::Modifier { kinds: &["accessibility_modifier"], default: "public" };

pub(super) static TYPESCRIPT: Language = Language {
    name: "typescript",
    extensions: &["ts", "mts", "cts"],
    file_names: &[],
    interpreters: &["deno", "ts-node", "tsx"],
    grammar: || tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
    separator: ".",
    comments: COMMENTS,
    atoms: ATOMS,
    texts: &["template_string"],
    code_in_atoms: &[],
    definitions: DEFINITIONS,
    decisions: DECISIONS,
    cognitive: COGNITIVE,
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: IMPORTS,
    parameter_lists: PARAMETER_LISTS,
    not_parameters: &[],
    visibility: VISIBILITY,
};

pub(super) static TSX: Language = Language {
    name: "tsx",
    extensions: &["tsx"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_typescript::LANGUAGE_TSX.into(),
    separator: ".",
    comments: COMMENTS,
    atoms: ATOMS,
    texts: &["template_string"],
    code_in_atoms: &[],
    definitions: DEFINITIONS,
    decisions: DECISIONS,
    cognitive: COGNITIVE,
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: IMPORTS,
    parameter_lists: PARAMETER_LISTS,
    not_parameters: &[],
    visibility: VISIBILITY,
};
