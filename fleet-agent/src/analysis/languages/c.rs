//! C.
//!
//! `.h` belongs here. Macros give half of the kernel's files ERROR nodes; `Rescue::CText` finds the functions in those.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static C: Language = Language {
    name: "c",
    extensions: &["c", "h"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_c::LANGUAGE.into(),
    separator: "::",
    comments: &["comment"],
    atoms: &["string_literal", "char_literal", "system_lib_string"],
    texts: &[],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_definition", kind: SymbolKind::Function, name: Name::Declarator, role: Role::OuterFunction, needs: "body" },
        Definition { node: "struct_specifier", kind: SymbolKind::Struct, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "union_specifier", kind: SymbolKind::Union, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "enum_specifier", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "body" },
        Definition { node: "enumerator", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "type_definition", kind: SymbolKind::Typedef, name: Name::Declarator, role: Role::Leaf, needs: "" },
        Definition { node: "declaration", kind: SymbolKind::Variable, name: Name::VariableDeclarator, role: Role::OuterLeaf, needs: "" },
        Definition { node: "preproc_def", kind: SymbolKind::Macro, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "preproc_function_def", kind: SymbolKind::Macro, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    ],
    // lizard counts `#if`, `#ifdef` and `#elif`, neither `#ifndef` nor `#else`, and nothing inside a directive.
    decisions: &[Token("if"), Token("for"), Token("while"), Token("case"), Token("?"), Token("&&"), Token("||"), Token("#if"), Token("#ifdef"), Token("#elif")],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("while_statement"),
            Node("do_statement"),
            Node("switch_statement"),
            Node("conditional_expression"),
        ],
        flat: &[Node("else_clause"), Node("goto_statement")],
        nests: &[],
        logical: &["&&", "||"],
        ifs: &["if_statement"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &["preproc_if", "preproc_elif"],
    rescue: Rescue::CText,
    imports: &[Import { node: "preproc_include", target: Target::Verbatim("path") }],
    parameter_lists: &["parameter_list"],
    not_parameters: &["variadic_parameter"],
    visibility: Visibility::Keyword { kinds: &["storage_class_specifier"], words: &["static"], default: "public" },
};
