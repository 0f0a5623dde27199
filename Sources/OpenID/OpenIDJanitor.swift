// Beside the requests: what has ended is removed, so that tables that anybody can make grow do not.
public import Postgres

/// Removes what no request can need any more.
public enum OpenIDJanitor {
    /// A day, so that somebody who reports a failed sign-in can still be answered, and a code that is used again after
    /// its hour still revokes the token that it gave.
    static let keptSeconds: Int32 = 86_400

    /// - Returns: how many rows went.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func removeEnded(from database: some Executor) async throws -> Int {
        let assertions = try await database.execute("DELETE FROM openid.client_assertion WHERE expires_at < public.stoa_now()")
        let requests = try await database.execute(
            """
            DELETE FROM openid.authorization_request
             WHERE expires_at < public.stoa_now() - make_interval(secs => \(keptSeconds))
            """)
        return assertions + requests
    }
}
