//! C#.

use bitacora_core::wire::record::SymbolKind;

use super::{Cognitive, Definition, Import, Language, Mark::*, Name, Rescue, Role, Target, Visibility};

pub(super) static C_SHARP: Language = Language {
    name: "c-sharp",
    extensions: &["cs", "csx"],
    file_names: &[],
    interpreters: &["dotnet-script"],
    grammar: || tree_sitter_c_sharp::LANGUAGE.into(),
    separator: ".",
    comments: &["comment"],
    atoms: &["string_literal", "verbatim_string_literal", "raw_string_literal", "character_literal"],
    texts: &["verbatim_string_literal", "raw_string_literal"],
    code_in_atoms: &[],
    definitions: &[
        Definition { node: "namespace_declaration", kind: SymbolKind::Namespace, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "file_scoped_namespace_declaration", kind: SymbolKind::Namespace, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "class_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "record_declaration", kind: SymbolKind::Class, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "struct_declaration", kind: SymbolKind::Struct, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "interface_declaration", kind: SymbolKind::Interface, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_declaration", kind: SymbolKind::Enum, name: Name::Field("name"), role: Role::Container, needs: "" },
        Definition { node: "enum_member_declaration", kind: SymbolKind::Constant, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "delegate_declaration", kind: SymbolKind::Typedef, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "method_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Function, needs: "body" },
        Definition { node: "method_declaration", kind: SymbolKind::Method, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "constructor_declaration", kind: SymbolKind::Constructor, name: Name::Field("name"), role: Role::Function, needs: "body" },
        Definition { node: "destructor_declaration", kind: SymbolKind::Method, name: Name::Prefixed("~", "name"), role: Role::Function, needs: "body" },
        Definition {
            node: "operator_declaration",
            kind: SymbolKind::Method,
            name: Name::Prefixed("operator ", "operator"),
            role: Role::Function,
            needs: "body",
        },
        Definition {
            node: "conversion_operator_declaration",
            kind: SymbolKind::Method,
            name: Name::Prefixed("operator ", "type"),
            role: Role::Function,
            needs: "body",
        },
        // lizard counts a local function's decisions for the method around it, so it is a name and no frame.
        Definition { node: "local_function_statement", kind: SymbolKind::Function, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "property_declaration", kind: SymbolKind::Property, name: Name::Field("name"), role: Role::Leaf, needs: "" },
        Definition { node: "indexer_declaration", kind: SymbolKind::Property, name: Name::Fixed("this"), role: Role::Leaf, needs: "" },
        Definition { node: "event_declaration", kind: SymbolKind::Property, name: Name::Field("name"), role: Role::Leaf, needs: "" },
    ],
    // lizard's tokens: `foreach` is none of them; `?` counts in `a ? b : c`, `a?.b` and `int?` alike.
    decisions: &[Token("if"), Token("for"), Token("while"), Token("catch"), Token("case"), Token("?"), Token("??"), Token("??="), Token("&&"), Token("||")],
    cognitive: Cognitive {
        structures: &[
            Node("if_statement"),
            Node("for_statement"),
            Node("foreach_statement"),
            Node("while_statement"),
            Node("do_statement"),
            Node("switch_statement"),
            Node("switch_expression"),
            Node("catch_clause"),
            Node("conditional_expression"),
        ],
        flat: &[In("if_statement", "else"), Node("goto_statement")],
        nests: &["lambda_expression", "anonymous_method_expression", "local_function_statement"],
        logical: &["&&", "||"],
        ifs: &["if_statement"],
        calls: &[("invocation_expression", "function")],
    },
    outside_conditions: &[],
    rescue: Rescue::None,
    imports: &[Import { node: "using_directive", target: Target::Children(&["qualified_name", "identifier", "alias_qualified_name"]) }],
    parameter_lists: &["parameter_list", "bracketed_parameter_list"],
    not_parameters: &["attribute_list"],
    visibility: Visibility::Keyword { kinds: &["modifier"], words: &["public", "protected", "internal", "private"], default: "private" },
};
