// How the database's failures look from outside. What a statement's error means in a use case is the slice's business;
// here is only what means the same everywhere.
import Postgres

extension Problem {
    /// The database cannot be reached, is overloaded or too slow: 503 with Retry-After. Nil for every other error, which nobody foresaw.
    init?(databaseError error: any Error) {
        guard let error = error as? DatabaseError else { return nil }
        switch error {
        case .unavailable, .connectionLost, .queueFull, .timedOut: self = .busy()
        default: return nil
        }
    }
}
