//! A file of the report, written by hand: a large tree has millions of symbols, and serde's way of writing each key and
//! comma through a writer took a tenth of what parsing them takes. The shape is held by the schema in the tests.

use std::io;

use bitacora_core::{
    paths::RelativePath,
    wire::record::{FileRecord, Function, Halstead, Lines, Symbol, maintainability_index},
};

use super::PathText;

/// A file as in `items`.
pub struct FileItem<'a> {
    path: &'a RelativePath,
    record: &'a FileRecord<&'a str>,
    detailed: bool,
}

impl<'a> FileItem<'a> {
    /// `detailed` is false for metrics alone: no symbols, no imports.
    pub fn new(path: &'a RelativePath, record: &'a FileRecord<&'a str>, detailed: bool) -> FileItem<'a> {
        FileItem { path, record, detailed }
    }

    /// For whoever writes files in another order than the one they are read in.
    pub fn fields(&self) -> io::Result<Vec<u8>> {
        let mut fields = Vec::new();
        self.write(&mut fields)?;
        Ok(fields)
    }

    /// Its fields, behind the brace or the field before.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let record = self.record;
        let PathText { path, path_base64 } = PathText::new(self.path);
        out.extend_from_slice(b"\"path\":");
        string(out, &path)?;
        if let Some(base64) = path_base64 {
            out.extend_from_slice(b",\"path_base64\":");
            string(out, &base64)?;
        }
        out.extend_from_slice(b",\"language\":");
        string(out, record.language)?;
        out.extend_from_slice(b",\"bytes\":");
        number(out, record.bytes)?;
        lines(out, record.lines)?;
        out.extend_from_slice(b",\"symbols\":");
        list(out, if self.detailed { &record.symbols } else { &[] }, symbol)?;
        out.extend_from_slice(b",\"functions\":");
        list(out, &record.functions, function)?;
        out.extend_from_slice(b",\"imports\":");
        list(out, if self.detailed { &record.imports } else { &[] }, import)?;
        out.extend_from_slice(b",\"violations\":");
        serde_json::to_writer(&mut *out, &record.violations)?;
        out.extend_from_slice(b",\"confidence\":");
        serde_json::to_writer(&mut *out, &(f64::from(record.confidence_ppm) / 1e6))?;
        let complexity = [("cyclomatic", record.cyclomatic), ("cognitive", record.cognitive), ("nesting", record.nesting)];
        complexity.iter().try_for_each(|(name, value)| count(out, name, *value))?;
        weight(out, &record.halstead, maintainability_index(&record.halstead, record.cyclomatic, record.lines.code))
    }
}

fn symbol(out: &mut Vec<u8>, symbol: &Symbol<&str>) -> io::Result<()> {
    out.extend_from_slice(b"{\"name\":");
    string(out, symbol.name)?;
    out.extend_from_slice(b",\"kind\":");
    string(out, symbol.kind.name())?;
    let place = [("line", symbol.line), ("column", symbol.column), ("end_line", symbol.end_line)];
    place.iter().try_for_each(|(name, value)| count(out, name, *value))?;
    out.extend_from_slice(b",\"container\":");
    match symbol.container {
        "" => out.extend_from_slice(b"null"),
        container => string(out, container)?,
    }
    if !symbol.visibility.is_empty() {
        out.extend_from_slice(b",\"visibility\":");
        string(out, symbol.visibility)?;
    }
    out.extend_from_slice(b",\"signature\":");
    string(out, symbol.signature)?;
    out.push(b'}');
    Ok(())
}

fn function(out: &mut Vec<u8>, function: &Function<&str>) -> io::Result<()> {
    out.extend_from_slice(b"{\"name\":");
    string(out, function.name)?;
    [("line", function.line), ("end_line", function.end_line)].iter().try_for_each(|(name, value)| count(out, name, *value))?;
    lines(out, function.lines)?;
    let complexity =
        [("cyclomatic", function.cyclomatic), ("cognitive", function.cognitive), ("nesting", function.nesting), ("parameters", function.parameters)];
    complexity.iter().try_for_each(|(name, value)| count(out, name, *value))?;
    weight(out, &function.halstead, maintainability_index(&function.halstead, function.cyclomatic, function.lines.code))?;
    out.push(b'}');
    Ok(())
}

fn import(out: &mut Vec<u8>, target: &&str) -> io::Result<()> {
    out.extend_from_slice(b"{\"target\":");
    string(out, target)?;
    out.push(b'}');
    Ok(())
}

fn lines(out: &mut Vec<u8>, Lines { total, code, comment, blank }: Lines) -> io::Result<()> {
    out.extend_from_slice(b",\"lines\":{\"total\":");
    number(out, total.into())?;
    [("code", code), ("comment", comment), ("blank", blank)].iter().try_for_each(|(name, value)| count(out, name, *value))?;
    out.push(b'}');
    Ok(())
}

/// What is derived from the counts, with as many decimals as it is good for.
fn weight(out: &mut Vec<u8>, halstead: &Halstead, maintainability: f64) -> io::Result<()> {
    out.extend_from_slice(b",\"halstead\":{\"volume\":");
    hundredths(out, halstead.volume())?;
    out.extend_from_slice(b",\"difficulty\":");
    hundredths(out, halstead.difficulty())?;
    out.extend_from_slice(b",\"effort\":");
    hundredths(out, halstead.effort())?;
    out.extend_from_slice(b"},\"maintainability\":");
    hundredths(out, maintainability)
}

fn list<Part>(out: &mut Vec<u8>, parts: &[Part], write: impl Fn(&mut Vec<u8>, &Part) -> io::Result<()>) -> io::Result<()> {
    out.push(b'[');
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, part)?;
    }
    out.push(b']');
    Ok(())
}

/// A further field.
fn count(out: &mut Vec<u8>, name: &str, value: u32) -> io::Result<()> {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    number(out, value.into())
}

fn number(out: &mut Vec<u8>, value: u64) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &value)?)
}

fn hundredths(out: &mut Vec<u8>, value: f64) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &((value * 100.0).round() / 100.0))?)
}

/// Most texts are as they are in JSON: the others are serde's.
fn string(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        return Ok(serde_json::to_writer(out, text)?);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}
