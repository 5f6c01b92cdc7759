//! Streams of the archive: sealed to public keys, opened with identities, 64 KiB at a time.

use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use age::x25519::Recipient;
use age::{DecryptError, Decryptor, EncryptError, Encryptor};

use super::bounded::with_checked_header;
use super::error::SecretError;
use super::identity::Identities;
use crate::model::PublicKey;

/// Public keys that were checked, ready to encrypt to.
#[derive(Debug, Clone)]
pub struct PublicKeys(Vec<Recipient>);

impl PublicKeys {
    /// Checks the keys. There must be at least one; one that is given twice counts once.
    pub fn parse(keys: &[PublicKey]) -> Result<Self, SecretError> {
        let mut unique: Vec<&PublicKey> = keys.iter().collect();
        unique.sort();
        unique.dedup();
        if unique.is_empty() {
            return Err(SecretError::NoRecipients);
        }
        unique.into_iter().map(recipient).collect::<Result<_, _>>().map(Self)
    }

    /// The keys as text, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// A writer that encrypts to these keys. The header is written at once.
    pub fn sealing<W: Write>(&self, inner: W) -> io::Result<SealingWriter<W>> {
        let buffer = Arc::new(Mutex::new(inner));
        let writer = self.encryptor().map_err(io::Error::other)?.wrap_output(Shared(Arc::clone(&buffer)))?;
        Ok(SealingWriter { writer, buffer })
    }

    pub(super) fn encryptor(&self) -> Result<Encryptor, EncryptError> {
        Encryptor::with_recipients(self.0.iter().map(|recipient| recipient as &dyn age::Recipient))
    }
}

fn recipient(key: &PublicKey) -> Result<Recipient, SecretError> {
    key.as_str().parse().map_err(|reason| SecretError::PublicKey { key: key.clone(), reason })
}

/// Encrypts what is written to it. Only [`SealingWriter::finish`] makes the stream complete: one that is dropped
/// before that does not open.
pub struct SealingWriter<W: Write> {
    writer: age::stream::StreamWriter<Shared<W>>,
    buffer: Arc<Mutex<W>>,
}

impl<W: Write> SealingWriter<W> {
    /// The inner writer, to drain it between writes. Whoever changes what was written there breaks the stream.
    pub fn get_mut(&mut self) -> MutexGuard<'_, W> {
        lock(&self.buffer)
    }

    /// Ends the stream and gives the inner writer back.
    pub fn finish(self) -> io::Result<W> {
        drop(self.writer.finish()?);
        let buffer = Arc::into_inner(self.buffer).expect("the stream's own handle was dropped above");
        Ok(buffer.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl<W: Write> fmt::Debug for SealingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingWriter").finish_non_exhaustive()
    }
}

/// The encryption owns its writer and hides it; a second handle keeps it within reach. The lock is taken once
/// per 64 KiB and never waits.
struct Shared<W>(Arc<Mutex<W>>);

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0).flush()
    }
}

fn lock<W>(buffer: &Mutex<W>) -> MutexGuard<'_, W> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Identities {
    /// A reader of the plain text of `source`. The header is read at once, with a bound.
    ///
    /// Damage behind the header is an [`io::Error`] of kind `InvalidData` or `UnexpectedEof` when it is reached;
    /// what was read until then is authentic, and the stream is complete only if its end was reached.
    pub fn opening<R: Read>(&self, source: R) -> Result<impl Read + use<R>, SecretError> {
        let damaged = |error: DecryptError| {
            if matches!(error, DecryptError::NoMatchingKeys) {
                SecretError::NoMatchingKey
            } else {
                SecretError::Damaged { source: error.into() }
            }
        };
        let source = with_checked_header(source).map_err(|error| SecretError::Damaged { source: error.into() })?;
        let decryptor = Decryptor::new_buffered(BufReader::with_capacity(128 * 1024, source)).map_err(damaged)?;
        decryptor.decrypt(self.iter()).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::identity::tests::{identities, pair};
    use super::*;

    fn sealed(key: &PublicKey, plain: &[u8]) -> Vec<u8> {
        let mut writer = PublicKeys::parse(std::slice::from_ref(key)).unwrap().sealing(Vec::new()).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(identities: &Identities, sealed: &[u8]) -> Result<Vec<u8>, io::Error> {
        let mut plain = Vec::new();
        identities.opening(sealed).map_err(io::Error::other)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn opening_undoes_sealing(plain in proptest::collection::vec(any::<u8>(), 0..200_000), cut in 1..1000usize) {
            let (text, key) = pair();
            let identities = identities(&text);
            let sealed = sealed(&key, &plain);
            prop_assert_eq!(opened(&identities, &sealed).unwrap(), plain);
            let short = &sealed[..sealed.len().saturating_sub(cut)];
            prop_assert!(opened(&identities, short).is_err());
        }
    }

    #[test]
    fn the_inner_writer_can_be_drained_between_writes() {
        let (text, key) = pair();
        let mut writer = PublicKeys::parse(&[key]).unwrap().sealing(Vec::new()).unwrap();
        let mut stored = Vec::new();
        for _ in 0..100 {
            writer.write_all(&[7; 10_000]).unwrap();
            stored.append(&mut writer.get_mut());
        }
        assert!(stored.len() > 900_000);
        stored.append(&mut writer.finish().unwrap());
        assert_eq!(opened(&identities(&text), &stored).unwrap(), vec![7; 1_000_000]);
    }

    #[test]
    fn a_foreign_key_is_told_apart_from_damage() {
        let (text, key) = pair();
        let (other, _) = pair();
        let sealed = sealed(&key, b"plain");
        assert!(matches!(identities(&other).opening(&sealed[..]).err(), Some(SecretError::NoMatchingKey)));
        assert!(matches!(identities(&text).opening(&sealed[..100]).err(), Some(SecretError::Damaged { .. })));
        assert!(matches!(identities(&text).opening(&b"hello"[..]).err(), Some(SecretError::Damaged { .. })));
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert!(opened(&identities(&text), &changed).is_err());
    }

    #[test]
    fn a_mistyped_key_is_refused() {
        let (_, key) = pair();
        let last = if key.as_str().ends_with('q') { 'p' } else { 'q' };
        let mistyped = PublicKey::new(format!("{}{last}", &key.as_str()[..key.as_str().len() - 1])).unwrap();
        assert!(matches!(PublicKeys::parse(&[mistyped]), Err(SecretError::PublicKey { .. })));
        assert!(PublicKeys::parse(&[key]).is_ok());
        assert!(matches!(PublicKeys::parse(&[]), Err(SecretError::NoRecipients)));
    }

    #[test]
    fn streams_travel_between_threads() {
        fn travels<T: Send + 'static>() {}
        travels::<SealingWriter<Vec<u8>>>();
        travels::<Identities>();
        travels::<PublicKeys>();
    }
}
