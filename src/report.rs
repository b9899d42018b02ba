//! Results as people and programs read them. Nothing is computed here that is not in the result.

pub mod ctags;
pub mod html;
pub mod json;
pub mod markdown;
mod sections;
pub mod table;
pub mod text;

use clap::{ValueEnum, builder::PossibleValue};

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A summary for people
    Table,
    /// The summary with more columns and longer lists
    Wide,
    /// One JSON document
    Json,
    /// One JSON document a line
    Ndjson,
    /// Names only, one a line
    Name,
    /// Tab-separated, without colours
    Plain,
}

impl Format {
    /// A table on a terminal, plain text otherwise.
    pub fn or_for(given: Option<Format>, terminal: bool) -> Format {
        given.unwrap_or(if terminal { Format::Table } else { Format::Plain })
    }
}

/// How to write an analysis: as everything is written, or for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalysisFormat {
    Common(Format),
    Markdown,
    Html,
    Ctags,
}

impl AnalysisFormat {
    pub fn or_for(given: Option<AnalysisFormat>, terminal: bool) -> AnalysisFormat {
        given.unwrap_or(AnalysisFormat::Common(Format::or_for(None, terminal)))
    }
}

impl ValueEnum for AnalysisFormat {
    fn value_variants<'a>() -> &'a [AnalysisFormat] {
        use AnalysisFormat::Common;
        const {
            &[
                Common(Format::Table),
                Common(Format::Wide),
                Common(Format::Json),
                Common(Format::Ndjson),
                Common(Format::Name),
                Common(Format::Plain),
                AnalysisFormat::Markdown,
                AnalysisFormat::Html,
                AnalysisFormat::Ctags,
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            AnalysisFormat::Common(format) => format.to_possible_value(),
            AnalysisFormat::Markdown => Some(PossibleValue::new("markdown").help("The summary with Markdown's tables, as for a pull request")),
            AnalysisFormat::Html => Some(PossibleValue::new("html").help("The summary as a page for a browser, in one file")),
            AnalysisFormat::Ctags => Some(PossibleValue::new("ctags").help("Every definition, as an editor's tags file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_a_format_is_one_of_an_analysis() {
        let names = |format: Option<PossibleValue>| format.unwrap().get_name().to_owned();
        let common: Vec<String> = Format::value_variants().iter().map(|format| names(format.to_possible_value())).collect();
        let all: Vec<String> = AnalysisFormat::value_variants().iter().map(|format| names(format.to_possible_value())).collect();
        assert_eq!((&all[..common.len()], &all[common.len()..]), (&common[..], &["markdown", "html", "ctags"].map(str::to_owned)[..]));
    }
}
