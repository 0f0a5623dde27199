// A caller in the line for an exclusive connection.
import Synchronization

final class Checkout: Sendable {
    private enum State: Sendable {
        case new, answered
        case waiting(CheckedContinuation<LeaseID, any Error>)
    }

    private struct Inside: Sendable {
        var state = State.new
        var deadline = ContinuousClock.now
    }

    /// What makes a transaction of everything that the holder will do.
    let beginning: Request.Command?
    private let inside = Mutex(Inside())

    init(beginning: Request.Command?) {
        self.beginning = beginning
    }

    /// When it has waited long enough.
    var deadline: ContinuousClock.Instant {
        get { inside.withLock { $0.deadline } }
        set { inside.withLock { $0.deadline = newValue } }
    }

    /// Leaves the caller's continuation here. Returns false, having resumed it, when the checkout was cancelled before it began.
    func park(_ continuation: CheckedContinuation<LeaseID, any Error>) -> Bool {
        let isEarly = inside.withLock { inside in
            if case .answered = inside.state { return true }
            inside.state = .waiting(continuation)
            return false
        }
        if isEarly { continuation.resume(throwing: DatabaseError.cancelled) }
        return !isEarly
    }

    /// False when nobody waits any more.
    func succeed(_ id: LeaseID) -> Bool {
        guard let continuation = take() else { return false }
        continuation.resume(returning: id)
        return true
    }

    func fail(_ error: DatabaseError) {
        take()?.resume(throwing: error)
    }

    private func take() -> CheckedContinuation<LeaseID, any Error>? {
        inside.withLock { inside in
            defer { inside.state = .answered }
            if case .waiting(let continuation) = inside.state { return continuation }
            return nil
        }
    }
}
