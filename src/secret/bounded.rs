//! Reads the header of an age file with a bound, before the parser sees it.

use std::io::{self, Cursor, Read};

/// No honest header is longer: a recipient takes about 150 bytes.
const LONGEST_HEADER: usize = 64 * 1024;

/// `source` from its beginning again, once it is known that its header ends within the bound.
pub(super) fn with_checked_header<R: Read>(mut source: R) -> io::Result<io::Chain<Cursor<Vec<u8>>, R>> {
    let mut start = Vec::new();
    let mut block = [0u8; 1024];
    loop {
        let count = match source.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        start.extend_from_slice(&block[..count]);
        // A source that ends early is the parser's to report.
        if count == 0 || header_ends(&start) {
            return Ok(Cursor::new(start).chain(source));
        }
        if start.len() > LONGEST_HEADER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the header does not end within 64 KiB"));
        }
    }
}

/// The last line of a header begins with `---`.
fn header_ends(start: &[u8]) -> bool {
    start
        .windows(5)
        .position(|window| window == b"\n--- ")
        .is_some_and(|position| start[position + 5..].contains(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_header_is_refused_early() {
        assert!(with_checked_header(io::repeat(b'a')).is_err());
    }

    #[test]
    fn nothing_is_lost() {
        let text = b"age-encryption.org/v1\n--- mac\nbody".repeat(1000);
        let mut read = Vec::new();
        with_checked_header(&text[..]).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
    }
}
