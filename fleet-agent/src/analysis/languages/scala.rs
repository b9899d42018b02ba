//! Scala 2 and 3.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static SCALA: Language = Language {
    name: "scala",
    extensions: &["scala", "sc", "sbt"],
    file_names: &[],
    interpreters: &["scala", "scala-cli", "amm"],
    grammar: || tree_sitter_scala::LANGUAGE.into(),
    separator: ".",
    comments: &["comment", "block_comment"],
    atoms: &["string", "character_literal"],
    texts: &["string"],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "class_definition", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "trait_definition", kind: SymbolKind::Trait, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "object_definition", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "package_object", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_definition", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "simple_enum_case", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "full_enum_case", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "given_definition", kind: SymbolKind::Variable, name: Name::Field("name"), role: Role::Container, needs: "name" },
        Definition { node: "type_definition", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "val_definition", kind: SymbolKind::Constant, name: Name::Field("pattern"), role: Role::OuterLeaf, needs: "" },
        Definition { node: "var_definition", kind: SymbolKind::Variable, name: Name::Field("pattern"), role: Role::OuterLeaf, needs: "" },
        Definition { node: "val_declaration", kind: SymbolKind::Constant, name: Name::EachField("name"), role: Role::OuterLeaf, needs: "" },
        Definition { node: "var_declaration", kind: SymbolKind::Variable, name: Name::EachField("name"), role: Role::OuterLeaf, needs: "" },
    ],
    decisions: &[
        Token("if"),
        Token("for"),
        Token("while"),
        Token("do"),
        Token("catch"),
        Token("case"),
        Text("operator_identifier", "&&"),
        Text("operator_identifier", "||"),
        Text("operator_identifier", "?"),
        // Wildcard types: lizard takes every `?` for a ternary operator.
        Text("type_identifier", "?"),
    ],
    cognitive: Cognitive {
        structures: &[
            Node("if_expression"),
            Node("for_expression"),
            Node("while_expression"),
            Node("do_while_expression"),
            Node("match_expression"),
            Node("catch_clause"),
        ],
        flat: &[In("if_expression", "else")],
        nests: &["lambda_expression", "case_block"],
        // `&&` and `||` are methods like any other to this grammar.
        logical: &[],
        ifs: &["if_expression"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import { node: "import_declaration", target: Target::Rest }],
    parameter_lists: &["parameters"],
    not_parameters: &[],
    visibility: Visibility::Keyword { kinds: &["modifiers"], words: &["private", "protected"], default: "public" },
};
