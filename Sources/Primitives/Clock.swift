// Where Swift code that never reaches the database asks for the time. What is stored or expires uses the SQL function
// `stoa_now()` instead, so that every node and every row agree.
public import Foundation
import Synchronization

/// A source of the present moment, injected so that rules about time can be tested without waiting.
public protocol Clock: Sendable {
    /// The present moment, in UTC as `Date` always is.
    func now() -> Date
}

/// The clock of the machine.
public struct SystemClock: Clock {
    public init() {}

    public func now() -> Date { Date() }
}

/// A clock that stands still until it is told to move: for tests of pure code.
public final class ManualClock: Clock {
    private let moment: Mutex<Date>

    /// - Parameter start: the moment it shows until it is moved; 2026-01-01T00:00:00Z unless given.
    public init(_ start: Date = Date(timeIntervalSince1970: 1_767_225_600)) {
        moment = Mutex(start)
    }

    public func now() -> Date { moment.withLock { $0 } }

    /// Moves the clock by a number of seconds, forward or (negative) back.
    public func advance(bySeconds seconds: TimeInterval) {
        moment.withLock { $0 = $0.addingTimeInterval(seconds) }
    }

    /// Moves the clock to a moment.
    public func set(_ moment: Date) {
        self.moment.withLock { $0 = moment }
    }
}
