//! Rust.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static RUST: Language = Language {
    name: "rust",
    extensions: &["rs"],
    file_names: &[],
    interpreters: &["rust-script"],
    grammar: || tree_sitter_rust::LANGUAGE.into(),
    separator: "::",
    comments: &["line_comment", "block_comment"],
    atoms: &["string_literal", "raw_string_literal", "char_literal"],
    texts: &["string_literal", "raw_string_literal"],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_item", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "function_signature_item", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "struct_item", kind: SymbolKind::Struct, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "union_item", kind: SymbolKind::Union, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_item", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "trait_item", kind: SymbolKind::Trait, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "impl_item", kind: SymbolKind::Class, name: Name::Field("type"), role: Role::Scope, needs: "" },
        Definition { node: "mod_item", kind: SymbolKind::Module, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "type_item", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "associated_type", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "macro_definition", kind: SymbolKind::Macro, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "const_item", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::OuterLeaf, needs: "" },
        Definition { node: "static_item", kind: SymbolKind::Variable, name: Name::Field("name"), role: Role::OuterLeaf, needs: "" },
    ],
    // `?` is one each, in `?Sized` too; `where` and every `for`; a `match` is its arms less one; `let … else`.
    // The `||` of a closure without parameters counts too: to lizard it is the operator.
    decisions: &[
        Token("if"),
        Token("for"),
        Token("while"),
        Token("where"),
        Token("&&"),
        Token("||"),
        Token("?"),
        Text("closure_parameters", "||"),
        Node("match_arm"),
        Less("match_block"),
        In("let_declaration", "else"),
    ],
    cognitive: Cognitive {
        structures: &[Node("if_expression"), Node("for_expression"), Node("while_expression"), Node("loop_expression"), Node("match_expression")],
        flat: &[Node("else_clause"), In("let_declaration", "else"), In("break_expression", "label"), In("continue_expression", "label")],
        nests: &["closure_expression"],
        logical: &["&&", "||"],
        ifs: &["if_expression"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::Tokens { node: "token_tree", keyword: "fn" },
    imports: &[
        Import { node: "use_declaration", target: Target::Field("argument") },
        Import { node: "extern_crate_declaration", target: Target::Field("name") },
    ],
    parameter_lists: &["parameters", "closure_parameters"],
    not_parameters: &["attribute_item"],
    visibility: Visibility::Modifier { kinds: &["visibility_modifier"], default: "private" },
};
