// From libpq's error results to `DatabaseError`.
import CLibpq

extension DatabaseError {
    /// Reads the error of a result whose status is PGRES_FATAL_ERROR.
    init(result: OpaquePointer) {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        // The codes are those of the protocol; libpq names them PG_DIAG_….
        guard let sqlState = field("C") else {
            self = .connectionLost  // an error without SQLSTATE is libpq's own: it could not speak to the server
            return
        }
        let severity = field("V") ?? field("S") ?? ""
        if severity == "FATAL" || severity == "PANIC" {
            self = .connectionLost
        } else if sqlState == "57014" {
            self = .timedOut  // query_canceled: by statement_timeout, unless we asked for it, which the lease knows
        } else {
            self = .server(
                ServerError(
                    sqlState: sqlState, message: field("M") ?? "", detail: field("D"), hint: field("H"), schema: field("s"), table: field("t"),
                    column: field("c"), constraint: field("n")))
        }
    }

    /// Whether a prepared statement was out of date, and the statement therefore did not begin.
    static func isStalePlan(_ result: OpaquePointer) -> Bool {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        switch field("C") {
        case "26000": return true  // invalid_sql_statement_name
        case "0A000": return field("R") == "RevalidateCachedQuery"  // "cached plan must not change result type"
        default: return false
        }
    }
}
