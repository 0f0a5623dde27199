// Which statements belong to a session rather than to themselves. On a shared connection, BEGIN or SET by one caller would
// befall the statements of others, so they are refused there; on an exclusive one they are noticed and undone before the next use.
import CLibpq

extension Connection {
    /// The reason why a shared connection will not carry the request, if there is one. Each text is judged when it is first seen here:
    /// a prepared one has passed already.
    func refusal(of request: Request) -> DatabaseError? {
        for command in [request.first] + request.more where !isPrepared(command.key) {
            if let word = leadingWords(of: command.sql.text, 1).first, sessionCommands.contains(word) {
                return .misuse("\(word) needs a transaction or an exclusive connection")
            }
        }
        return nil
    }

    /// Notices commands that outlive their transaction. set_config() and advisory locks cannot be seen: `Database.exclusive` resets always.
    func noteSessionChange(_ result: QueryResult) {
        switch result.commandTag {
        case "SET", "RESET", "LISTEN", "UNLISTEN", "PREPARE", "DECLARE CURSOR", "CREATE TABLE", "DISCARD ALL": sessionChanged = true
        default: break
        }
    }
}

/// Commands of transactions, sessions and copying.
private let sessionCommands: Set<String> = [
    "ABORT", "BEGIN", "CLOSE", "COMMIT", "COPY", "DEALLOCATE", "DECLARE", "DISCARD", "END", "EXECUTE", "FETCH", "LISTEN", "LOAD", "LOCK", "MOVE", "PREPARE",
    "RELEASE", "RESET", "ROLLBACK", "SAVEPOINT", "SET", "START", "UNLISTEN", "VACUUM",
]

/// Whether a statement would begin or end a transaction: those after it would then run each for itself.
func controlsTransaction(_ text: String) -> Bool {
    let words = leadingWords(of: text, 3)
    switch words.first {
    case "BEGIN", "START", "COMMIT", "END", "ABORT": return true
    case "ROLLBACK": return !words.dropFirst().contains("TO")  // ROLLBACK [WORK] TO a savepoint
    case "PREPARE": return words.dropFirst().first == "TRANSACTION"
    default: return false
    }
}

/// Whether a statement is a COPY, which cannot travel in a pipeline.
func isCopy(_ text: String) -> Bool { leadingWords(of: text, 1) == ["COPY"] }

/// The first keywords, at most `count`, in upper case, past what the server passes over: white space, comments (which nest) and empty statements.
func leadingWords(of text: String, _ count: Int) -> [String] {
    var rest = text.utf8[...]
    var words: [String] = []
    while words.count < count {
        rest = afterBlanks(rest)
        let word = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) }
        if word.isEmpty { break }
        words.append((String(word) ?? "").uppercased())
        rest = rest[word.endIndex...]
    }
    return words
}

private func afterBlanks(_ text: Substring.UTF8View) -> Substring.UTF8View {
    var rest = text
    var depth = 0
    while let byte = rest.first {
        if rest.starts(with: "/*".utf8) {
            depth += 1
            rest = rest.dropFirst(2)
        } else if depth > 0, rest.starts(with: "*/".utf8) {
            depth -= 1
            rest = rest.dropFirst(2)
        } else if depth == 0, rest.starts(with: "--".utf8) {
            rest = rest.drop { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        } else if depth > 0 || byte == UInt8(ascii: " ") || byte == UInt8(ascii: ";") || (9...13).contains(byte) {
            rest = rest.dropFirst()
        } else {
            break
        }
    }
    return rest
}
