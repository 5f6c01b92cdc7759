//! How a PostgreSQL server is reached: an address as in libpq, without its password.
//!
//! What is different from libpq: a server on another host must prove who it is unless the address says otherwise,
//! because what the state says decides which backups are kept. A parameter that would not be heeded is refused.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::any::AnyConnectOptions;
use url::Url;

use super::StateError;

/// Parameters of an address that are passed on as they are.
const KNOWN: [&str; 9] =
    ["host", "port", "user", "dbname", "sslrootcert", "sslcert", "sslkey", "application_name", "options"];

/// What the environment says besides, under the names that libpq gives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// `PGHOSTADDR` or `PGHOST`: the server, if the address names none.
    pub host: Option<&'a str>,
    /// `PGSSLMODE`.
    pub ssl_mode: Option<&'a str>,
    /// Whether `PGSSLROOTCERT` names a file.
    pub has_root_certificate: bool,
    /// Whether the address stands in the arguments of the process, which others on the host can read.
    pub typed: bool,
}

/// The address of a database. Its `Display` is for people, and both it and `Debug` leave the password out.
#[derive(Debug, Clone)]
pub struct ServerAddress {
    /// Without a password.
    url: Url,
    password: Option<SecretString>,
}

impl ServerAddress {
    pub(super) fn parse(text: &str, surroundings: &Surroundings<'_>) -> Result<Self, StateError> {
        let wrong = |problem| StateError::Address { problem };
        let (text, hostless) = hostless(text);
        let mut url = Url::parse(&text).map_err(|_| {
            wrong("it is no URL; in a password, `/`, `?`, `#`, `@` and `%` are written as %2F, %3F, %23, %40 and %25")
        })?;
        if url.fragment().is_some() {
            return Err(wrong("it contains a `#`; in a name or a password, write %23"));
        }
        let not_text = |()| wrong("its user or its password is not UTF-8");
        let password = url.password().or(hostless.password);
        let mut password = password.map(|text| decoded(text).map(SecretString::from)).transpose().map_err(not_text)?;
        let mut ssl_mode = None;
        let mut parameters = Vec::new();
        if let Some(user) = hostless.user {
            parameters.push(("user".to_owned(), decoded(user).map_err(not_text)?));
        }
        if let Some(port) = hostless.port {
            parameters.push(("port".to_owned(), port.to_owned()));
        }
        for (key, value) in url.query_pairs() {
            match &*key {
                "password" => password = Some(SecretString::from(value.into_owned())),
                "sslmode" => ssl_mode = Some(value.into_owned()),
                known if KNOWN.contains(&known) => parameters.push((key.into_owned(), value.into_owned())),
                // It is not shown: a `?` in a password makes the rest of it look like a parameter.
                _ => {
                    return Err(wrong(
                        "it has a parameter that is not known; there are host, port, user, dbname, sslmode, \
                         sslrootcert, sslcert, sslkey, application_name and options",
                    ));
                }
            }
        }
        if surroundings.typed && password.is_some() {
            return Err(StateError::PasswordTyped);
        }
        let named = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let host = named("host").or_else(|| url.host_str().filter(|host| !host.is_empty())).or(surroundings.host);
        if named("port").is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(wrong("its port is no number below 65536"));
        }
        let has_root = named("sslrootcert").is_some() || surroundings.has_root_certificate;
        let asked = ssl_mode.as_deref().or(surroundings.ssl_mode);
        let ssl_mode = ssl(asked, has_root, is_near(host)).map_err(wrong)?;
        if named("application_name").is_none() {
            parameters.push(("application_name".to_owned(), "xopero".to_owned()));
        }
        url.query_pairs_mut().clear().extend_pairs(&parameters).append_pair("sslmode", ssl_mode);
        if url.password().is_some() && url.set_password(None).is_err() {
            return Err(wrong("it names no host"));
        }
        Ok(Self { url, password })
    }

    pub(super) fn with_password(self, password: SecretString) -> Self {
        Self { password: Some(password), ..self }
    }

    pub(super) const fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// What a connection is made with. It holds the password and shows it in its `Debug`.
    pub(super) fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        let mut url = self.url.clone();
        if let Some(password) = &self.password {
            // As a parameter, so that a server without a host, which is reached by a socket, has a place for it.
            url.query_pairs_mut().append_pair("password", password.expose_secret());
        }
        AnyConnectOptions::from_url(&url)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |name: &str| {
            let found = self.url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.escape_debug().to_string())
        };
        f.write_str("postgres://")?;
        let user = Some(self.url.username().to_owned()).filter(|user| !user.is_empty());
        if let Some(user) = named("user").or(user) {
            write!(f, "{user}@")?;
        }
        f.write_str(&named("host").or(self.url.host_str().map(str::to_owned)).unwrap_or_default())?;
        if let Some(port) = named("port").or(self.url.port().map(|port| port.to_string())) {
            write!(f, ":{port}")?;
        }
        match named("dbname") {
            Some(database) => write!(f, "/{database}"),
            None => f.write_str(self.url.path()),
        }
    }
}

/// What stands before a host that is not there, which no URL has and libpq takes: `postgres://user@/estate?host=/run`.
#[derive(Default)]
struct Hostless<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    port: Option<&'a str>,
}

/// The address without it.
fn hostless(text: &str) -> (Cow<'_, str>, Hostless<'_>) {
    let cut = || {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (who, server) = authority.rsplit_once('@')?;
        let port = if server.is_empty() { None } else { Some(server.strip_prefix(':')?) };
        let (user, password) = who.split_once(':').map_or((who, None), |(user, password)| (user, Some(password)));
        let user = Some(user).filter(|user| !user.is_empty());
        Some((format!("{scheme}://{rest}").into(), Hostless { user, password, port }))
    };
    cut().unwrap_or_else(|| (text.into(), Hostless::default()))
}

fn decoded(text: &str) -> Result<String, ()> {
    let pair = format!("password={}", text.replace('+', "%2B"));
    let (_, value) = url::form_urlencoded::parse(pair.as_bytes()).next().ok_or(())?;
    // What is not UTF-8 would be replaced, and then be another password.
    if value.contains(char::REPLACEMENT_CHARACTER) { Err(()) } else { Ok(value.into_owned()) }
}

/// Whether the way to the host never leaves this machine.
fn is_near(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost"
        || host.starts_with('/')
        || host.to_ascii_lowercase().starts_with("%2f")
        || address.is_ok_and(|address| address.is_loopback())
}

/// How the connection is protected.
fn ssl(asked: Option<&str>, has_root: bool, near: bool) -> Result<&'static str, &'static str> {
    match asked {
        Some("disable") => Ok("disable"),
        Some("prefer") => Ok("prefer"),
        // As in libpq: who names an authority wants to be sure of the server.
        Some("require") if has_root => Ok("verify-ca"),
        Some("require") => Ok("require"),
        Some("verify-ca") => Ok("verify-ca"),
        Some("verify-full") => Ok("verify-full"),
        Some(_) => Err("its sslmode is none of disable, prefer, require, verify-ca and verify-full"),
        None if near && !has_root => Ok("prefer"),
        None => Ok("verify-full"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerAddress, StateError> {
        ServerAddress::parse(text, &Surroundings::default())
    }

    fn mode(text: &str, surroundings: &Surroundings<'_>) -> String {
        let address = ServerAddress::parse(text, surroundings).unwrap();
        address.url.query_pairs().find(|(key, _)| key == "sslmode").unwrap().1.into_owned()
    }

    #[test]
    fn another_host_must_prove_who_it_is_unless_the_address_says_otherwise() {
        let nothing = Surroundings::default();
        for near in [
            "postgres://x@localhost/x",
            "postgres://x@127.0.0.1:5433/x",
            "postgres://x@[::1]/x",
            "postgres://x@%2Frun%2Fpostgresql/x",
            "postgres:///x?host=/run/postgresql",
            "postgres:///x",
        ] {
            assert_eq!(mode(near, &nothing), "prefer", "{near}");
        }
        for far in ["postgres://x@db/x", "postgres://x@10.0.0.1/x", "postgres://x@localhost/x?host=db.example.com"] {
            assert_eq!(mode(far, &nothing), "verify-full", "{far}");
        }
        assert_eq!(mode("postgres:///x", &Surroundings { host: Some("db"), ..nothing }), "verify-full");
        assert_eq!(mode("postgres://x@localhost/x?sslrootcert=/ca.pem", &nothing), "verify-full");
        assert_eq!(mode("postgres://x@db/x?sslmode=disable", &nothing), "disable");
        assert_eq!(mode("postgres://x@db/x?sslmode=require", &nothing), "require");
        assert_eq!(mode("postgres://x@db/x?sslmode=require&sslrootcert=/ca.pem", &nothing), "verify-ca");
        let environment = Surroundings { ssl_mode: Some("verify-ca"), ..nothing };
        assert_eq!(mode("postgres://x@localhost/x", &environment), "verify-ca");
        assert_eq!(mode("postgres://x@localhost/x?sslmode=prefer", &environment), "prefer");
        assert!(parse("postgres://x@db/x?sslmode=allow").is_err(), "it is not built");
    }

    #[test]
    fn a_user_may_stand_before_no_host_as_in_libpq() {
        for (text, shown) in [
            ("postgres://x@/estate?host=/run/postgresql", "postgres://x@/run/postgresql/estate"),
            ("postgres://x:hunter2@:5433/estate?host=/run", "postgres://x@/run:5433/estate"),
            ("postgres:///estate?user=x&host=/run&port=5433", "postgres://x@/run:5433/estate"),
            ("postgresql://x@?dbname=estate", "postgres://x@/estate"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert!(!format!("{address:?} {}", address.url).contains("hunter2"), "{address:?}");
            assert_eq!(address.has_password(), text.contains("hunter2"));
            assert_eq!(mode(text, &Surroundings::default()), "prefer", "{text}");
            assert!(address.options().unwrap().database_url.query().unwrap().contains("user=x"), "{text}");
        }
        let far = Surroundings { host: Some("db.example.com"), ..Surroundings::default() };
        assert_eq!(mode("postgres://x@/estate", &far), "verify-full");
        assert_eq!(mode("postgres://x@/estate?host=db.example.com", &Surroundings::default()), "verify-full");
        for text in ["postgres://x@:70000/x?host=/run", "postgres://%FF@/x", "postgres://x@:p/x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_taken_out_and_shown_nowhere() {
        for text in [
            "postgres://x:hun%2Fter2%40%25+@db:5433/estate?options=-csearch_path%3Dbackup",
            "postgres://x@db:5433/estate?password=hun/ter2%40%25%2B",
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.password.as_ref().unwrap().expose_secret(), "hun/ter2@%+");
            assert_eq!(address.to_string(), "postgres://x@db:5433/estate");
            assert!(!format!("{address:?} {}", address.url).contains("hun"), "{address:?}");
            assert!(address.options().unwrap().database_url.query().unwrap().contains("password=hun%2Fter2%40%25%2B"));
        }
        assert!(parse("postgres://x:%FF@db/x").is_err());
    }

    #[test]
    fn an_address_on_the_command_line_has_no_password() {
        let typed = Surroundings { typed: true, ..Surroundings::default() };
        for text in ["postgres://x:hunter2@db/x", "postgres://x:hunter2@/x", "postgres://x@db/x?password=hunter2"] {
            let error = ServerAddress::parse(text, &typed).unwrap_err();
            assert!(matches!(error, StateError::PasswordTyped), "{error}");
            assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
        }
        ServerAddress::parse("postgres://x@db/x", &typed).unwrap();
    }

    #[test]
    fn what_would_not_be_heeded_is_refused_and_not_shown() {
        for text in [
            "postgres://x:12?hunter2@db/x",
            "postgres://x:12#hunter2@db/x",
            "postgres://x:hun?ter2@db/x",
            "postgres://x:hun/ter2@/x",
            "postgres://x@db/x?sslpassword=hunter2",
            "postgres://x@db/x?connect_timeout=5",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("ter2"), "{text}: {error}");
        }
    }
}
