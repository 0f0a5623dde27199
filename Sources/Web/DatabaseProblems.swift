// How the database's failures look from outside. What a statement's error means in a use case is the slice's business;
// here is only what means the same everywhere.
import Postgres
import Primitives

extension Problem {
    /// The database cannot be reached, is overloaded or too slow: 503 with Retry-After. Nil for every other error, which nobody foresaw.
    init?(databaseError error: any Error) {
        switch error {
        // The queue of a group commit empties within a batch or two; that of the connections only when the database is quick again.
        case GroupCommitError.queueFull: self = .busy(retryAfterSeconds: 1)
        case DatabaseError.outcomeUnknown, DatabaseError.cancelled: self = .outcomeUnknown
        case let error as DatabaseError where error.isUnavailability: self = .busy()
        default: return nil
        }
    }
}
