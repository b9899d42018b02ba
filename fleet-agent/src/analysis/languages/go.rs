//! Go.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static GO: Language = Language {
    name: "go",
    extensions: &["go"],
    file_names: &[],
    interpreters: &[],
    grammar: || tree_sitter_go::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["interpreted_string_literal", "raw_string_literal", "rune_literal"],
    texts: &[],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "function_declaration", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "method_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Function, needs: "" },
        Definition { node: "func_literal", kind: SymbolKind::Function, name: Name::Binding, role: Role::Function, needs: "" },
        // The struct and the interface are symbols at the name of the `type_spec` around them.
        Definition { node: "type_spec", kind: SymbolKind::Struct, name: Name::Field("name"), role: Role::Container, needs: "type:struct_type" },
        Definition { node: "type_spec", kind: SymbolKind::Interface, name: Name::Field("name"), role: Role::Container, needs: "type:interface_type" },
        Definition { node: "type_spec", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "type" },
        Definition { node: "type_alias", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "method_elem", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "const_spec", kind: SymbolKind::Constant, name: Name::EachField("name"), role: Role::OuterLeaf, needs: "" },
        Definition { node: "var_spec", kind: SymbolKind::Variable, name: Name::EachField("name"), role: Role::OuterLeaf, needs: "" },
    ],
    decisions: &[Token("if"), Token("for"), Token("case"), Token("&&"), Token("||")],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("expression_switch_statement"),
            Node("type_switch_statement"),
            Node("select_statement"),
        ],
        flat: &[In("if_statement", "else"), In("break_statement", "label_name"), In("continue_statement", "label_name"), Node("goto_statement")],
        nests: &[],
        logical: &["&&", "||"],
        ifs: &["if_statement"],
        calls: &[("call_expression", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import { node: "import_spec", target: Target::Field("path") }],
    parameter_lists: &["parameter_list"],
    not_parameters: &[],
    visibility: Visibility::Capital,
};
