//! Messages as they go over standard input and output: a header with the length, then JSON. Bounded.

use std::io::{BufRead, Read};

use lsp_server::Message;

use super::LspError;

/// The largest message: the largest file, every byte of it escaped.
const LARGEST_MESSAGE: u64 = 32 << 20;

/// The longest line of a header, and the most lines.
const LONGEST_LINE: u64 = 4 << 10;
const MOST_LINES: usize = 32;

/// The next message. `None` where the input ends between two messages. A message that is none is passed over: what it
/// says may not be repeated anywhere.
pub(super) fn read(input: &mut impl BufRead) -> Result<Option<Message>, LspError> {
    loop {
        let Some(size) = header(input)? else { return Ok(None) };
        if size > LARGEST_MESSAGE {
            return Err(LspError::TooLarge { size, limit: LARGEST_MESSAGE });
        }
        let mut body = Vec::new();
        input.take(size).read_to_end(&mut body).map_err(|source| LspError::Read { source })?;
        if body.len() as u64 != size {
            return Err(LspError::NotTheProtocol { reason: "it ends in the middle of a message" });
        }
        if let Ok(message) = serde_json::from_slice(&body) {
            return Ok(Some(message));
        }
        tracing::warn!(size, "a message of the editor is not understood");
    }
}

/// The length that a header announces.
fn header(input: &mut impl BufRead) -> Result<Option<u64>, LspError> {
    let mut size = None;
    for number in 0..MOST_LINES {
        let mut line = Vec::new();
        let read = input.take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|source| LspError::Read { source })?;
        if line.is_empty() && number == 0 {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(LspError::NotTheProtocol { reason: "a line of a header is not ended" });
        };
        if line.is_empty() {
            return match size {
                Some(size) => Ok(Some(size)),
                None => Err(LspError::NotTheProtocol { reason: "a header has no Content-Length" }),
            };
        }
        let line = str::from_utf8(line).unwrap_or_default();
        let Some((name, value)) = line.split_once(':') else {
            return Err(LspError::NotTheProtocol { reason: "a line of a header has no name" });
        };
        if name.trim().eq_ignore_ascii_case("content-length") {
            let parsed = value.trim().parse().ok();
            size = Some(parsed.ok_or(LspError::NotTheProtocol { reason: "a Content-Length is not a number" })?);
        }
    }
    Err(LspError::NotTheProtocol { reason: "a header has too many lines" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    fn reason(input: &str) -> String {
        read(&mut input.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn messages_follow_each_other() {
        let text = framed(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#)
            + &framed("[not a message]")
            + "content-length: 33\r\nContent-Type: x\r\n\r\n"
            + r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let mut input = text.as_bytes();
        assert!(matches!(read(&mut input).unwrap(), Some(Message::Request(request)) if request.method == "a"));
        assert!(matches!(read(&mut input).unwrap(), Some(Message::Notification(found)) if found.method == "exit"));
        assert!(read(&mut input).unwrap().is_none());
    }

    #[test]
    fn what_is_not_the_protocol_ends_it() {
        for input in ["plan\n", "a\r\n\r\n", "a: b\r\n\r\n", "Content-Length: x\r\n\r\n", "Content-Length: 9\r\n\r\n{}"]
        {
            assert!(reason(input).contains("not the language server protocol"), "{input:?}");
        }
        assert!(reason(&"x: y\r\n".repeat(100)).contains("too many lines"));
        assert!(reason(&"x".repeat(10_000)).contains("not ended"));
        assert!(reason("Content-Length: 99999999999\r\n\r\n").contains("too large"));
    }
}
