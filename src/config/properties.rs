//! Reads `.properties` files as `java.util.Properties` does: comments, continued lines, escapes,
//! three kinds of separators.
//!
//! Called by `config::server_config`. Invariant: any bytes give properties or an error with its
//! line, and order and repetition are kept, so that the caller can say which line counted.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

use super::error::ConfigError;

/// One `name=value`, with the line on which it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The name, without escapes.
    pub name: String,
    /// The value, without escapes and without blanks around it.
    pub value: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// Reads a file's bytes. UTF-8 is read as such; bytes that are not UTF-8 as ISO 8859-1, which is
/// what Java always assumes.
pub fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Property>, ConfigError> {
    let text: Cow<'_, str> = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    logical_lines(&text)
        .into_iter()
        .map(|(line, text)| {
            property(&text, line).map_err(|problem| ConfigError::Syntax {
                file: file.to_owned(),
                line,
                problem,
            })
        })
        .collect()
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\u{c}')
}

/// Natural lines end with `\n`, `\r` or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .flat_map(|line| line.split('\r'))
}

/// Joins continued lines, and leaves out comments and blank lines.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, natural) in natural_lines(text).enumerate() {
        let content = natural.trim_start_matches(is_blank);
        let fresh = open.is_none();
        if fresh && (content.is_empty() || content.starts_with(['#', '!'])) {
            continue;
        }
        let (line, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match continued(content) {
            Some(part) => {
                joined.push_str(part);
                open = Some((line, joined));
            }
            None => {
                joined.push_str(content);
                lines.push((line, joined));
            }
        }
    }
    lines.extend(open);
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

/// The line without its last backslash, if that one says that the next line belongs to it.
fn continued(line: &str) -> Option<&str> {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        line.strip_suffix('\\')
    } else {
        None
    }
}

fn property(text: &str, line: usize) -> Result<Property, String> {
    let mut letters = text.chars().peekable();
    let mut name = Units::default();
    while let Some(&letter) = letters.peek() {
        if is_blank(letter) || letter == '=' || letter == ':' {
            break;
        }
        letters.next();
        name.take(letter, &mut letters)?;
    }
    skip_blanks(&mut letters);
    if letters
        .next_if(|letter| matches!(letter, '=' | ':'))
        .is_some()
    {
        skip_blanks(&mut letters);
    }
    let mut value = Units::default();
    while let Some(letter) = letters.next() {
        value.take(letter, &mut letters)?;
    }
    Ok(Property {
        name: name.finish()?,
        value: value.finish()?.trim().to_owned(),
        line,
    })
}

fn skip_blanks(letters: &mut Peekable<Chars<'_>>) {
    while letters.next_if(|letter| is_blank(*letter)).is_some() {}
}

/// Text as UTF-16, because `\u` escapes are written in it.
#[derive(Default)]
struct Units(Vec<u16>);

impl Units {
    /// Takes a letter, and what follows it if it is a backslash.
    fn take(&mut self, letter: char, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        if letter != '\\' {
            self.push(letter);
            return Ok(());
        }
        match rest.next() {
            Some('t') => self.push('\t'),
            Some('n') => self.push('\n'),
            Some('r') => self.push('\r'),
            Some('f') => self.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.take(4).collect();
                let whole =
                    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| whole);
                let problem = || format!("\\u{digits} is not \\u and four hexadecimal digits");
                self.0.push(unit.ok_or_else(problem)?);
            }
            Some(other) => self.push(other),
            None => {}
        }
        Ok(())
    }

    fn push(&mut self, letter: char) {
        self.0.extend_from_slice(letter.encode_utf16(&mut [0; 2]));
    }

    fn finish(self) -> Result<String, String> {
        String::from_utf16(&self.0)
            .map_err(|_| "half of a character is missing after a \\u escape".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse("test.properties", text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|property| (property.name, property.value))
            .collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_end_at_an_equals_sign_a_colon_or_a_blank() {
        let text = "a=1\nb:2\nc 3\nd = 4\ne\t:\t5\nf\ng==6\nh:=7\n  i=8";
        let expected = [
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("d", "4"),
            ("e", "5"),
            ("f", ""),
            ("g", "=6"),
            ("h", "=7"),
            ("i", "8"),
        ];
        assert_eq!(read(text), expected.map(|(name, value)| pair(name, value)));
    }

    #[test]
    fn comments_and_blank_lines_are_left_out() {
        assert_eq!(
            read("# a=1\n  ! b=2\n\n \t\nc=3 # not a comment\n"),
            [pair("c", "3 # not a comment")]
        );
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line_and_two_do_not() {
        assert_eq!(
            read("a=1,\\\n   2,\\\r\n\t3\nb=4\\\\\nc=5"),
            [pair("a", "1,2,3"), pair("b", "4\\"), pair("c", "5")]
        );
    }

    #[test]
    fn a_comment_is_not_continued_and_a_continuation_is_not_a_comment() {
        assert_eq!(read("# a \\\nb=1,\\\n#2"), [pair("b", "1,#2")]);
    }

    #[test]
    fn escapes_are_those_of_java() {
        assert_eq!(
            read(r"a\ b\=c=x\ty\nz\u00e9\uD83D\uDE00\q"),
            [pair("a b=c", "x\ty\nz\u{e9}\u{1f600}q")]
        );
    }

    #[test]
    fn a_windows_path_needs_its_backslashes_doubled() {
        assert_eq!(
            read(r"log.dirs=C:\\milena"),
            [pair("log.dirs", r"C:\milena")]
        );
    }

    #[test]
    fn a_broken_escape_is_an_error_with_its_line() {
        let error = parse("server.properties", b"a=1\n\nb=\\u12g4\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "server.properties, line 3: \\u12g4 is not \\u and four hexadecimal digits"
        );
        assert!(parse("server.properties", b"a=\\ud83d").is_err());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_latin_1() {
        let properties = parse("test.properties", b"a=caf\xe9").unwrap();
        assert_eq!(properties[0].value, "caf\u{e9}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse("test.properties", &bytes);
        }
    }
}
