//! C++.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static CPP: Language = Language {
    name: "cpp",
    extensions: &["cpp", "cc", "cxx", "c++", "hpp", "hh", "hxx", "h++", "ipp", "inl", "tpp"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_cpp::LANGUAGE.into(),
    separator: "::",
    comments: &["comment"],
    atoms: &["string_literal", "raw_string_literal", "char_literal", "system_lib_string"],
    texts: &[],
    code_in_atoms: &[],
    definitions: &[
        // `= default`, `= delete` and pure virtual functions have no body and are declarations, for lizard and ctags too.
        Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Declarator, role: Role::Function, needs: "body" },
        Definition { node: "class_specifier", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "struct_specifier", kind: SymbolKind::Struct, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "union_specifier", kind: SymbolKind::Union, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "enum_specifier", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "enumerator", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "namespace_definition", kind: SymbolKind::Namespace, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "concept_definition", kind: SymbolKind::Trait, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "type_definition", kind: SymbolKind::Typedef, name: Name::Declarator, role: Role::Leaf, needs: "" },
        Definition { node: "alias_declaration", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "declaration", kind: SymbolKind::Variable, name: Name::VariableDeclarator, role: Role::OuterLeaf, needs: "" },
        Definition { node: "preproc_def", kind: SymbolKind::Macro, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "preproc_function_def", kind: SymbolKind::Macro, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    ],
    // `&&` only as the operator: lizard takes back the `&&` of `T &&x = …`. `and`, `or` are no tokens of lizard's.
    // A lambda is no function of its own for lizard: its decisions are those of the function around it.
    decisions: &[
        Token("if"),
        Token("for"),
        Token("while"),
        Token("catch"),
        Token("case"),
        Token("?"),
        In("binary_expression", "&&"),
        Token("||"),
        Token("#if"),
        Token("#ifdef"),
        Token("#elif"),
    ],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("for_range_loop"),
            Node("while_statement"),
            Node("do_statement"),
            Node("switch_statement"),
            Node("catch_clause"),
            Node("conditional_expression"),
        ],
        flat: &[Node("else_clause"), Node("goto_statement")],
        nests: &["lambda_expression"],
        logical: &["&&", "||", "and", "or"],
        ifs: &["if_statement"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &["preproc_if", "preproc_elif"],
    rescue: Rescue::None,
    imports: &[
        Import { node: "preproc_include", target: Target::Field("path") },
        Import { node: "using_declaration", target: Target::Children(&["qualified_identifier", "identifier"]) },
    ],
    parameter_lists: &["parameter_list"],
    not_parameters: &[],
    visibility: Visibility::None,
};
