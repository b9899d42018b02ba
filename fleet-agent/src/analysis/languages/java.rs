//! Java.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static JAVA: Language = Language {
    name: "java",
    extensions: &["java"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_java::LANGUAGE.into(),
    separator: ".",
    comments: &["line_comment", "block_comment"],
    atoms: &["character_literal"],
    texts: &["string_literal"],
    code_in_atoms: &[],
    definitions: &[
        Definition {
            node: "package_declaration",
            kind: SymbolKind::Namespace,
            name: Name::Child(&["scoped_identifier", "identifier"]),
            role: Role::Leaf,
            needs: "",
        },
        Definition { node: "class_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "record_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "interface_declaration", kind: SymbolKind::Interface, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "annotation_type_declaration", kind: SymbolKind::Interface, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_declaration", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_constant", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        // The first of a node's definitions that applies counts: with a body a function, without one (abstract, native) a name.
        Definition { node: "method_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Function, needs: "body" },
        Definition { node: "method_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "annotation_type_element_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "constructor_declaration", kind: SymbolKind::Constructor, name: Name::Field("name"), role: Role::Function, needs: "body" },
        Definition { node: "compact_constructor_declaration", kind: SymbolKind::Constructor, name: Name::Field("name"), role: Role::Function, needs: "body" },
        Definition { node: "field_declaration", kind: SymbolKind::Variable, name: Name::Declarator, role: Role::OuterLeaf, needs: "" },
        Definition { node: "constant_declaration", kind: SymbolKind::Constant, name: Name::Declarator, role: Role::OuterLeaf, needs: "" },
    ],
    // The `?` of a wildcard (`List<?>`) is none; lambdas count for the method around them.
    decisions: &[Token("if"), Token("for"), Token("while"), Token("catch"), Token("case"), In("ternary_expression", "?"), Token("&&"), Token("||")],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("enhanced_for_statement"),
            Node("while_statement"),
            Node("do_statement"),
            Node("switch_expression"),
            Node("catch_clause"),
            Node("ternary_expression"),
        ],
        flat: &[In("if_statement", "else"), With("break_statement", "identifier"), With("continue_statement", "identifier")],
        nests: &["lambda_expression"],
        logical: &["&&", "||"],
        ifs: &["if_statement"],
        calls: &[("method_invocation", "name")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import { node: "import_declaration", target: Target::Children(&["scoped_identifier", "identifier"]) }],
    parameter_lists: &["formal_parameters", "inferred_parameters"],
    not_parameters: &["receiver_parameter"],
    visibility: Visibility::Keyword { kinds: &["modifiers"], words: &["public", "protected", "private"], default: "package" },
};
