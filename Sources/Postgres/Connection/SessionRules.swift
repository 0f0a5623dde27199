// Which statements belong to a session rather than to themselves. On a shared connection, BEGIN or SET by one caller would
// befall the statements of others, so they are refused there; on an exclusive one they are noticed and undone before the next use.
import CLibpq

extension Connection {
    /// The reason why a shared connection will not carry the request, if there is one. Each text is judged when it is first seen here:
    /// a prepared one has passed already.
    func refusal(of request: Request) -> DatabaseError? {
        for command in [request.first] + request.more where !isPrepared(command.key) {
            let word = firstWord(of: command.sql.text)
            if sessionCommands.contains(word) {
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

/// The first keyword, in upper case, after white space and comments.
func firstWord(of text: String) -> String {
    var rest = Substring(text)
    while true {
        rest = rest.drop { $0.isWhitespace }
        if rest.hasPrefix("--") {
            rest = rest.drop { !$0.isNewline }
        } else if rest.hasPrefix("/*") {
            guard let end = rest.firstRange(of: "*/") else { return "" }
            rest = rest[end.upperBound...]
        } else {
            return rest.prefix { $0.isLetter }.uppercased()
        }
    }
}
