//! A webhook that only wakes: whoever proves to know the secret is heard, and nothing that it says is read.

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use crate::model::hex;

/// Bytes of a body at most. What a push says is shorter, and what is longer says nothing more.
pub const LONGEST_BODY: usize = 1 << 20;

/// A secret with fewer characters could be found by trying.
const SHORTEST_SECRET: usize = 16;

/// Between two wakes. What comes meanwhile is one more wake, and not lost.
const REST: Duration = Duration::from_secs(5);

/// A secret that does not keep a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret of the webhook is shorter than {SHORTEST_SECRET} characters")]
pub struct WeakSecret;

/// Takes what comes, and wakes.
#[derive(Debug)]
pub struct Webhook {
    key: hmac::Key,
    rung: Notify,
}

impl Webhook {
    /// A webhook whose caller knows this secret.
    pub fn new(secret: &SecretString) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < SHORTEST_SECRET {
            return Err(WeakSecret);
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), rung: Notify::new() })
    }

    /// Takes a body with its signature, as Bitbucket sends it in `X-Hub-Signature`: `sha256=` and digits. Whether it is
    /// genuine; if it is, somebody is woken.
    pub fn receive(&self, body: &[u8], signature: Option<&str>) -> bool {
        let claimed = signature.and_then(|text| hex::decode(text.strip_prefix("sha256=")?.as_bytes()));
        // The comparison takes the same time wherever they differ.
        let genuine = claimed.is_some_and(|claimed| hmac::verify(&self.key, body, &claimed).is_ok());
        if genuine {
            self.rung.notify_one();
        }
        genuine
    }

    /// Calls `wake` for what was received, not too often.
    pub async fn pass_on(self: Arc<Self>, wake: impl Fn()) {
        self.pass_on_with(REST, wake).await;
    }

    async fn pass_on_with(self: Arc<Self>, rest: Duration, wake: impl Fn()) {
        loop {
            self.rung.notified().await;
            wake();
            tokio::time::sleep(rest).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn webhook() -> Webhook {
        Webhook::new(&SecretString::from(SECRET)).unwrap()
    }

    fn signature(secret: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        format!("sha256={}", hex::encode(hmac::sign(&key, body).as_ref()))
    }

    #[test]
    fn only_who_knows_the_secret_is_heard() {
        let webhook = webhook();
        let genuine = signature(SECRET, b"body");
        assert!(webhook.receive(b"body", Some(&genuine)));
        assert!(!webhook.receive(b"another", Some(&genuine)));
        for wrong in [
            &signature("another secret!!", b"body")[..],
            &genuine.replace("sha256", "sha1"),
            genuine.strip_prefix("sha256=").unwrap(),
            &genuine[..genuine.len() - 2],
            "sha256=",
            "sha256=zz",
            "",
        ] {
            assert!(!webhook.receive(b"body", Some(wrong)), "{wrong}");
        }
        assert!(!webhook.receive(b"body", None));
        assert_eq!(Webhook::new(&SecretString::from("short")).unwrap_err(), WeakSecret);
        assert!(!format!("{webhook:?}").contains(SECRET));
    }

    /// What RFC 4231 says for its second case.
    #[test]
    fn it_is_the_mac_that_others_compute() {
        let webhook = Webhook { key: hmac::Key::new(hmac::HMAC_SHA256, b"Jefe"), rung: Notify::new() };
        let mac = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(webhook.receive(b"what do ya want for nothing?", Some(mac)));
    }

    #[tokio::test]
    async fn many_calls_wake_seldom_and_the_last_is_not_lost() {
        let genuine = signature(SECRET, b"");
        for (rest, expected) in [(Duration::from_hours(1), [1, 1, 1]), (Duration::ZERO, [1, 2, 3])] {
            let webhook = Arc::new(webhook());
            let (wakes, mut woken) = tokio::sync::mpsc::unbounded_channel();
            let passing = tokio::spawn(Arc::clone(&webhook).pass_on_with(rest, move || wakes.send(()).unwrap()));
            let mut seen = 0;
            for expected in expected {
                for _ in 0..100 {
                    webhook.receive(b"", Some(&genuine));
                }
                if expected > seen {
                    woken.recv().await.unwrap();
                    seen += 1;
                }
                tokio::task::yield_now().await;
                assert!(woken.try_recv().is_err(), "a hundred calls are one wake");
            }
            passing.abort();
        }
    }
}
