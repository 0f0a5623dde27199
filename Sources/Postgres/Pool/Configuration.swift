// Every setting of the database client, with its default and the reason for it.
import Logging

extension Database {
    /// How a `Database` connects and where its limits lie.
    public struct Configuration: Sendable {
        /// A libpq connection string or `postgresql://` URI; several hosts and TLS settings work as libpq documents them.
        public var url: String
        /// Connections that carry many callers' single statements. Four saturate two cores; more only add backends.
        public var sharedConnections = 4
        /// Connections for transactions, COPY and whatever may wait; opened when first needed.
        public var exclusiveConnections = 8
        /// Statements on the shared connections that are accepted and not yet answered; the next one gets `.queueFull`. At 50,000 a
        /// second this is a tenth of a second of work: who waits longer is better told to come back.
        public var statementsOutstandingMax = 4096
        /// Callers that wait for an exclusive connection; the next one gets `.queueFull`.
        public var checkoutsWaitingMax = 256
        /// How long a caller waits for an exclusive connection before `.timedOut`.
        public var checkoutTimeout = Duration.seconds(5)
        /// The server's statement_timeout. Long work (an import, a migration) raises it in its own transaction with SET LOCAL. A server that
        /// froze without closing its sockets is noticed on the shared connections after this and `Pool.answerGrace`: 15 s together.
        public var statementTimeout = Duration.seconds(10)
        /// The server's lock_timeout on the shared connections, where whoever waits makes neighbours wait.
        public var sharedLockTimeout = Duration.seconds(1)
        /// The server's idle_in_transaction_session_timeout: a caller that hangs inside a transaction loses its locks.
        public var idleInTransactionTimeout = Duration.seconds(30)
        /// How long one attempt to connect may take, name resolution aside.
        public var connectTimeout = Duration.seconds(5)
        /// Shown in pg_stat_activity.
        public var applicationName = "stoa"

        public init(url: String) {
            self.url = url
        }

        func connectors(logger: Logger) throws -> Pool.Connectors {
            let session = [
                "statement_timeout": "\(statementTimeout.wholeMilliseconds)",
                "idle_in_transaction_session_timeout": "\(idleInTransactionTimeout.wholeMilliseconds)",
                "TimeZone": "UTC",
            ]
            let shared = session.merging(["lock_timeout": "\(sharedLockTimeout.wholeMilliseconds)"]) { $1 }
            return Pool.Connectors(
                shared: try Connector(self, session: shared, logger: logger), exclusive: try Connector(self, session: session, logger: logger),
                listening: try Connector(self, session: session, logger: logger))
        }
    }
}
