use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::git::pack::{PackLimits, PackWalker};
use crate::git::stock::Stock;
use crate::http::{HttpError, Proxies};
use crate::model::AccountName;

/// How the server of a test behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Stock,
    /// A proxy drops the `Git-Protocol` header.
    OnlyV0,
    /// Cuts every answer in the middle.
    Cut,
    /// A login page with status 200.
    Login,
}

/// Serves one repository with stock git until the test ends.
async fn serve(stock: Stock, manner: Manner) -> (Remote, Arc<Stock>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = BaseUrl::new(&format!("http://{}/bb", listener.local_addr().unwrap())).unwrap();
    let stock = Arc::new(stock);
    let served = Arc::clone(&stock);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            answer(socket, &served, manner).await;
        }
    });
    let client = HttpClient::new(&base, None, &Proxies::default(), Duration::from_mins(2)).unwrap();
    (Remote::new(client, &ProjectKey::new("PAY").unwrap(), &RepoSlug::new("ledger").unwrap()), stock)
}

async fn answer(mut socket: TcpStream, stock: &Stock, manner: Manner) {
    let mut seen = Vec::new();
    let end = loop {
        if let Some(at) = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut seen).await.unwrap() == 0 {
            return;
        }
    };
    let head = String::from_utf8(seen[..end].to_vec()).unwrap().to_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = header("content-length:").map_or(0, |text| text.parse().unwrap());
    while seen.len() < end + length {
        socket.read_buf(&mut seen).await.unwrap();
    }
    let mut body = seen[end..].to_vec();
    if header("content-encoding:") == Some("gzip") {
        let packed = std::mem::take(&mut body);
        GzDecoder::new(&packed[..]).read_to_end(&mut body).unwrap();
    }
    let version = if header("git-protocol:") == Some("version=2") && manner != Manner::OnlyV0 { 2 } else { 0 };
    let (kind, mut content) = if head.starts_with("get /bb/scm/pay/ledger.git/info/refs?service=git-upload-pack ") {
        (ADVERTISEMENT, stock.advertise(version))
    } else {
        assert!(head.starts_with("post /bb/scm/pay/ledger.git/git-upload-pack "), "{head}");
        (RESULT, stock.upload_pack(version, &body))
    };
    let kind = if manner == Manner::Login { "text/html" } else { kind };
    if manner == Manner::Cut {
        content.truncate(content.len() / 2);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&content).await.unwrap();
}

fn authorization() -> Authorization {
    Authorization::bearer(AccountName::new("svc").unwrap(), &SecretString::from("token")).unwrap()
}

/// Fetches everything behind `wants` and returns the number of objects.
async fn fetch(remote: &Remote, request: &FetchRequest<'_>) -> Result<u32, GitError> {
    let mut stream = remote.fetch(&authorization(), request).await?;
    let mut walker = PackWalker::new(request.format, PackLimits::default());
    while let Some(bytes) = stream.next().await? {
        walker.push(&bytes).unwrap();
    }
    Ok(walker.finish().unwrap().objects)
}

#[tokio::test]
async fn the_same_objects_in_every_protocol_and_format() {
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        for (manner, protocol) in [(Manner::Stock, Protocol::V2), (Manner::OnlyV0, Protocol::V0)] {
            let (remote, stock) = serve(Stock::with_history(format), manner).await;
            let advertisement = remote.discover(&authorization()).await.unwrap();
            assert_eq!(advertisement.facts.protocol, protocol);
            assert_eq!(advertisement.object_format, format);
            let facts = advertisement.facts;
            let listing = remote.list(&authorization(), &facts, format).await.unwrap();
            assert_eq!(listing, Listing { references: stock.references(), object_format: format });
            let wants = listing.references.oids();
            let all = fetch(&remote, &FetchRequest { facts: &facts, format, wants: &wants, haves: &[] }).await.unwrap();
            assert_eq!(all as usize, stock.count_objects());
            let haves = vec![stock.rev("main~1"); 1];
            let some = FetchRequest { facts: &facts, format, wants: &wants, haves: &haves };
            assert!(fetch(&remote, &some).await.unwrap() < all);
        }
    }
}

#[tokio::test]
async fn a_wrong_guess_asks_to_discover_again() {
    let (remote, _) = serve(Stock::with_history(ObjectFormat::Sha256), Manner::Stock).await;
    let facts = remote.discover(&authorization()).await.unwrap().facts;
    let result = remote.list(&authorization(), &facts, ObjectFormat::Sha1).await;
    assert!(matches!(result, Err(GitError::NotV2 { .. })), "{result:?}");

    let (old, _) = serve(Stock::with_history(ObjectFormat::Sha1), Manner::OnlyV0).await;
    let result = old.list(&authorization(), &facts, ObjectFormat::Sha1).await;
    assert!(matches!(result, Err(GitError::NotV2 { .. })), "{result:?}");
}

#[tokio::test]
async fn a_repository_without_commits() {
    let (remote, _) = serve(Stock::empty(ObjectFormat::Sha1), Manner::Stock).await;
    let facts = remote.discover(&authorization()).await.unwrap().facts;
    let listing = remote.list(&authorization(), &facts, ObjectFormat::Sha1).await.unwrap();
    assert!(listing.references.oids().is_empty());
}

#[tokio::test]
async fn cut_answers_are_truncated() {
    let (remote, stock) = serve(Stock::with_history(ObjectFormat::Sha1), Manner::Cut).await;
    let error = remote.discover(&authorization()).await.unwrap_err();
    assert!(matches!(error, GitError::Protocol { cause: ProtocolError::Truncated { .. }, .. }), "{error:?}");
    let (facts, format) = (AdvertisementReader::default(), ObjectFormat::Sha1);
    let mut reader = facts;
    reader.push(stock.advertise(2).into()).unwrap();
    let facts = reader.finish().unwrap().facts;
    let wants = stock.references().oids();
    let request = FetchRequest { facts: &facts, format, wants: &wants, haves: &[] };
    let mut stream = remote.fetch(&authorization(), &request).await.unwrap();
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cut pack must not end well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GitError::Protocol { cause: ProtocolError::Truncated { .. }, .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_object_is_the_words_of_git() {
    let (remote, _) = serve(Stock::with_history(ObjectFormat::Sha1), Manner::Stock).await;
    let facts = remote.discover(&authorization()).await.unwrap().facts;
    let wants = ["7".repeat(40).parse().unwrap()];
    let request = FetchRequest { facts: &facts, format: ObjectFormat::Sha1, wants: &wants, haves: &[] };
    let error = fetch(&remote, &request).await.unwrap_err();
    assert!(matches!(&error, GitError::Remote { message, .. } if message.contains("not our ref")), "{error:?}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn quirk_30_a_login_page_is_named() {
    let (remote, _) = serve(Stock::empty(ObjectFormat::Sha1), Manner::Login).await;
    let error = remote.discover(&authorization()).await.unwrap_err();
    assert!(matches!(error, GitError::Http(HttpError::UnexpectedContent { .. })), "{error:?}");
}

#[test]
fn quirk_19_clone_links_keep_only_what_follows_scm() {
    let base = BaseUrl::new("https://bb.example.com/bitbucket").unwrap();
    let link = |link: &str| below_scm(&base, link).map(String::from);
    let ours = Some("https://bb.example.com/bitbucket/scm/pay/ledger.git".to_owned());
    assert_eq!(link("https://bb.example.com/bitbucket/scm/pay/ledger.git"), ours);
    assert_eq!(link("http://someone@internal:7990/scm/pay/ledger.git"), ours);
    assert_eq!(link("ssh://git@bb.example.com:7999/pay/ledger.git"), None);
    assert_eq!(link("https://bb.example.com/scm/pay/../../x.git"), None);
    assert_eq!(link("https://bb.example.com/scm/pay/a%2fb.git"), None);
    assert_eq!(without_user("http://someone:pw@internal/x"), "http://internal/x");
}
