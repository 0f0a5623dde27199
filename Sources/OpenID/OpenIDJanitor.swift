// Beside the requests: what has ended is removed, so that tables that anybody can make grow do not.
public import Postgres

/// Removes what no request can need any more.
public enum OpenIDJanitor {
    /// Answered requests stay for a day: while the token of a code may live, using the code again must still revoke it.
    static let answeredKeptSeconds: Int32 = 86_400
    /// Unanswered ones stay for an hour, in which their page still says that they ran out. Anybody can make them, so
    /// their number is bounded by this and by the budget of `OpenIDRoutes`.
    static let unansweredKeptSeconds: Int32 = 3_600

    /// - Returns: how many rows went.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func removeEnded(from database: some Executor) async throws -> Int {
        let assertions = try await database.execute("DELETE FROM openid.client_assertion WHERE expires_at < public.stoa_now()")
        let proofs = try await database.execute("DELETE FROM openid.key_proof WHERE expires_at < public.stoa_now()")
        let requests = try await database.execute(
            """
            DELETE FROM openid.authorization_request
             WHERE expires_at < public.stoa_now()
                - make_interval(secs => CASE WHEN answered_at IS NULL THEN \(unansweredKeptSeconds) ELSE \(answeredKeptSeconds) END)
            """)
        return assertions + proofs + requests + Int(try await database.one(RemovePastSignIns()))
    }
}

private struct RemovePastSignIns: Query {
    var sql: SQL { "SELECT openid.remove_past_sign_ins()" }
    func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}
