//! What rooms need of JSON beside a parser: where a value stands in a text that was found to be
//! valid, and how a string is written.

/// The members of an object, as they stand in a text that is valid JSON.
///
/// Knows nothing of what a key means: keys come with their quotes and escapes, in the order in
/// which they stand. A text that is not valid ends early, and never panics.
#[derive(Clone, Debug)]
pub struct Members<'t> {
    rest: &'t [u8],
}

impl<'t> Members<'t> {
    /// Of an object, white space around it allowed.
    pub fn of(text: &'t [u8]) -> Self {
        let text = text.trim_ascii();
        let rest = text.strip_prefix(b"{").unwrap_or_default();
        Self { rest: rest.strip_suffix(b"}").unwrap_or(rest) }
    }
}

impl<'t> Iterator for Members<'t> {
    /// A key with its quotes, and its value without white space around it.
    type Item = (&'t [u8], &'t [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.trim_ascii_start();
        let text = text.strip_prefix(b",").unwrap_or(text).trim_ascii_start();
        let key = string_end(text)?;
        let after = text[key..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let value = value_end(after);
        self.rest = &after[value..];
        Some((&text[..key], after[..value].trim_ascii_end()))
    }
}

/// The index behind the string that the text begins with.
fn string_end(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at + 1),
            // The character behind it is part of the escape, whatever it is.
            _ => at += 2,
        }
    }
}

/// The index of the comma behind a value, or of the text's end.
fn value_end(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => match string_end(&text[at..]) {
                Some(end) => {
                    at += end;
                    continue;
                }
                None => return text.len(),
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Appends a string with its quotes (RFC 8259 7).
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a number.
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut rest) = ([0; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(text: &str) -> Vec<(&str, &str)> {
        let text_of = |bytes| std::str::from_utf8(bytes).unwrap();
        Members::of(text.as_bytes()).map(|(key, value)| (text_of(key), text_of(value))).collect()
    }

    #[test]
    fn members_as_they_stand() {
        assert_eq!(members("{}"), []);
        assert_eq!(members(" { } "), []);
        assert_eq!(
            members(r#"{"a": {"b":[1,2,{"c":"}"}]} ,"d\"e" : "x,\\" , "f":-1.5e3 }"#),
            [
                ("\"a\"", r#"{"b":[1,2,{"c":"}"}]}"#),
                (r#""d\"e""#, r#""x,\\""#),
                ("\"f\"", "-1.5e3")
            ]
        );
        assert_eq!(members(r#"{"":"","":null}"#), [("\"\"", "\"\""), ("\"\"", "null")]);
    }

    #[test]
    fn strings_and_numbers() {
        let mut out = Vec::new();
        write_string(&mut out, "a\"\\\n\u{1}\u{1f}é/");
        write_number(&mut out, 0);
        write_number(&mut out, u64::MAX);
        let expected = "\"a\\\"\\\\\\n\\u0001\\u001fé/\"018446744073709551615";
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in prop::collection::vec(prop_oneof![
            prop::sample::select(b"{}[]\",:\\ 1".to_vec()), any::<u8>()
        ], 0..60)) {
            let whole: usize = Members::of(&text).map(|(key, value)| key.len() + value.len()).sum();
            prop_assert!(whole <= text.len());
        }

        #[test]
        fn any_string_is_read_back(text: String) {
            let mut out = Vec::new();
            write_string(&mut out, &text);
            let tape = simd_json::to_tape(&mut out).unwrap();
            prop_assert_eq!(&tape.0[0], &simd_json::Node::String(&text));
        }
    }
}
