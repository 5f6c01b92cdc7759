//! An editor that talks to `xopero lsp` over standard input and output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use fake_bitbucket::World;
use serde_json::{Value, json};

use crate::file;
use crate::proof::options;
use crate::support::Home;

/// An editor with one server.
struct Editor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    folder: String,
    asked: i64,
}

impl Editor {
    /// Starts the server, greets it, and gives what it can do.
    fn start(home: &Home) -> (Self, Value) {
        let mut command = home.xopero_command(&["lsp", "--stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let folder = format!("file://{}", home.path().canonicalize().expect("it exists").display());
        let mut editor = Self { child, input, output, folder, asked: 0 };
        let hover = json!({"contentFormat": ["markdown", "plaintext"]});
        let greeting = json!({"processId": null, "rootUri": null, "capabilities": {"textDocument": {"hover": hover}}});
        let greeted = editor.ask("initialize", &greeting);
        editor.tell("initialized", &json!({}));
        (editor, greeted)
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        let input = self.input.as_mut().expect("it is open");
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("the server reads");
        input.flush().expect("the server reads");
    }

    fn tell(&mut self, method: &str, what: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": what}));
    }

    /// The answer to a request. Notes that come before it are not looked at.
    fn ask(&mut self, method: &str, what: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": what}));
        loop {
            let message = self.receive();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{message}");
                return message["result"].clone();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).expect("the server writes"), 0, "the server went away");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("the whole message");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// The next diagnostics of a file: their messages.
    fn diagnostics(&mut self, name: &str) -> Vec<Value> {
        let uri = self.uri(name);
        loop {
            let message = self.receive();
            if message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri {
                return message["params"]["diagnostics"].as_array().expect("a list").clone();
            }
        }
    }

    fn uri(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn open(&mut self, name: &str, text: &str) {
        let document = json!({"uri": self.uri(name), "languageId": "kdl", "version": 1, "text": text});
        self.tell("textDocument/didOpen", &json!({"textDocument": document}));
    }

    /// Asks about the place behind the first `before` in a text of that name.
    fn ask_at(&mut self, method: &str, name: &str, text: &str, before: &str) -> Value {
        let at = place(text, before);
        self.ask(method, &json!({"textDocument": {"uri": self.uri(name)}, "position": at}))
    }

    /// Says goodbye; the exit code.
    fn leave(mut self, orderly: bool) -> Option<i32> {
        if orderly {
            assert!(self.ask("shutdown", &Value::Null).is_null());
        }
        self.tell("exit", &Value::Null);
        self.input = None;
        let status = self.child.wait().expect("it ends");
        let mut said = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
        assert_eq!(said, "", "nothing is said on standard error");
        status.code()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}

/// Line and UTF-16 column behind the first `before`.
fn place(text: &str, before: &str) -> Value {
    let end = text.find(before).unwrap_or_else(|| panic!("{before:?} is not in\n{text}")) + before.len();
    let line = text[..end].rfind('\n').map_or(0, |found| found + 1);
    let column = text[line..end].encode_utf16().count();
    json!({"line": text[..end].matches('\n').count(), "character": column})
}

fn home() -> (Home, String) {
    let home = Home::new(World::new(), options());
    home.write_file(&["nas"], &(file::project("PAY") + &file::plan("nightly", "PAY", "", &["nas"])));
    home.add_credential("PAY", None, "main");
    home.add_credential("PAY", Some("extra-1"), "extra");
    let text = std::fs::read_to_string(home.path().join("xopero.kdl")).expect("the file exists");
    (home, text)
}

#[test]
fn an_editor_is_served_from_hello_to_goodbye() {
    let (home, whole) = home();
    let (mut editor, greeted) = Editor::start(&home);
    let can = &greeted["capabilities"];
    assert!(can["hoverProvider"] == true && can["definitionProvider"] == true, "{greeted}");

    // What is not saved counts, and it is broken.
    let broken = whole.replacen("destination \"nas\"\n", "destination \"nsa\"\n", 1);
    assert_ne!(broken, whole);
    editor.open("xopero.kdl", &broken);
    let found = editor.diagnostics("xopero.kdl");
    let unknown = found.iter().find(|found| found["code"] == "xopero::unknown-name").expect("it is told");
    assert!(unknown["message"].as_str().unwrap().contains("did you mean `nas`?"), "{unknown}");
    assert_eq!(unknown["range"]["end"], place(&broken, "destination \"nsa\""));

    let context = json!({"diagnostics": [unknown]});
    let document = json!({"uri": editor.uri("xopero.kdl")});
    let actions = editor.ask(
        "textDocument/codeAction",
        &json!({"textDocument": document, "range": unknown["range"], "context": context}),
    );
    assert_eq!(actions[0]["title"], "Replace with \"nas\"", "{actions}");
    let edits = &actions[0]["edit"]["changes"][editor.uri("xopero.kdl")];
    let change = json!({"textDocument": {"uri": editor.uri("xopero.kdl"), "version": 2},
                        "contentChanges": [{"range": edits[0]["range"], "text": edits[0]["newText"]}]});
    editor.tell("textDocument/didChange", &change);
    let left = editor.diagnostics("xopero.kdl");
    assert!(left.iter().all(|found| found["severity"] != 1), "{left:?}");

    let hover = editor.ask_at("textDocument/hover", "xopero.kdl", &whole, "additional-credential \"ext");
    let said = hover["contents"]["value"].as_str().unwrap();
    assert!(said.contains("account `extra`") && said.contains("enabled in no plan"), "{said}");
    let found = editor.ask_at("textDocument/definition", "xopero.kdl", &whole, "    destination \"na");
    assert_eq!(found[0]["range"]["end"], place(&whole, "destination \"nas\""), "{found}");
    let symbols = editor.ask("textDocument/documentSymbol", &json!({"textDocument": document}));
    assert!(symbols.as_array().unwrap().iter().any(|symbol| symbol["name"] == "plan \"nightly\""), "{symbols}");

    let at = place(&whole, "additional-credential \"ext");
    let asked = json!({"textDocument": document, "range": {"start": at, "end": at}, "context": {"diagnostics": []}});
    let actions = editor.ask("textDocument/codeAction", &asked);
    assert_eq!(actions[0]["title"], "Enable \"extra-1\" in plan \"nightly\"", "{actions}");
    let edits = &actions[0]["edit"]["changes"][editor.uri("xopero.kdl")];
    assert!(edits[0]["newText"].as_str().unwrap().contains("enable-credentials \"extra-1\""), "{actions}");

    let untidy = whole.replacen("    parts \"git\"", "  parts   \"git\"", 1);
    let change =
        json!({"textDocument": {"uri": editor.uri("xopero.kdl"), "version": 3}, "contentChanges": [{"text": untidy}]});
    editor.tell("textDocument/didChange", &change);
    let options = json!({"tabSize": 4, "insertSpaces": true});
    let edits = editor.ask("textDocument/formatting", &json!({"textDocument": document, "options": options}));
    let change = json!({"textDocument": {"uri": editor.uri("xopero.kdl"), "version": 4},
                        "contentChanges": [{"range": edits[0]["range"], "text": edits[0]["newText"]}]});
    editor.tell("textDocument/didChange", &change);
    let again = editor.ask("textDocument/formatting", &json!({"textDocument": document, "options": options}));
    assert!(edits.as_array().unwrap().len() == 1 && again.as_array().unwrap().is_empty(), "{edits} {again}");

    let half = format!("{whole}plan \"next\" {{\n    project \"PAY\" {{\n        enable-credentials \"");
    let change =
        json!({"textDocument": {"uri": editor.uri("xopero.kdl"), "version": 5}, "contentChanges": [{"text": half}]});
    editor.tell("textDocument/didChange", &change);
    let offered = editor.ask_at("textDocument/completion", "xopero.kdl", &half, "        enable-credentials \"");
    assert_eq!(offered[0]["textEdit"]["newText"], "\"extra-1\"", "{offered}");

    // Places and files that do not exist are no harm.
    let nowhere =
        json!({"textDocument": {"uri": "file:///no/such.kdl"}, "position": {"line": 9_999_999, "character": 7}});
    assert!(editor.ask("textDocument/hover", &nowhere).is_null());
    let far = json!({"textDocument": document, "position": {"line": 9_999_999, "character": 4_294_967_295_u32}});
    editor.ask("textDocument/hover", &far);
    assert_eq!(editor.leave(true), Some(0));
}

#[test]
fn files_of_a_declaration_are_told_about_together_and_secrets_never() {
    let (home, whole) = home();
    std::fs::create_dir(home.path().join("teams")).expect("a folder");
    std::fs::write(home.path().join("teams/web.kdl"), "server \"web\" {\n    url \"https://web.example.com\"\n}\n")
        .unwrap();
    std::fs::write(home.path().join("xopero.kdl"), format!("{whole}include \"teams/web.kdl\"\n")).unwrap();
    let (mut editor, _) = Editor::start(&home);
    let web =
        "server \"bb\" {\n    url \"https://web.example.com\"\n}\ndestination \"x\" {\n    secret-key \"hunter2\"\n}\n";
    editor.open("teams/web.kdl", web);
    let found = editor.diagnostics("teams/web.kdl");
    let twice =
        found.iter().find(|found| found["message"].as_str().unwrap().contains("there twice")).expect("it is told");
    assert_eq!(twice["relatedInformation"][0]["location"]["uri"], editor.uri("xopero.kdl"), "{twice}");
    assert!(!json!(found).to_string().contains("hunter2"), "{found:?}");
    let hover = editor.ask_at("textDocument/hover", "teams/web.kdl", web, "secret-key \"hunt");
    assert!(!hover.to_string().contains("hunter2"), "{hover}");
    assert_eq!(editor.leave(false), Some(1), "an exit without a shutdown is a failure");
}

#[test]
fn what_is_not_an_editor_is_told_so() {
    let home = Home::new(World::new(), options());
    home.xopero_with_input(&["lsp"], "plan\n").expect(1).says("not the language server protocol");
    home.xopero_with_input(&["lsp"], "").expect(1);
}
