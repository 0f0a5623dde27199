// Keeps two processes of Stoa from starting or stopping the same cluster at once. The kernel lets go when a process dies,
// also by kill -9, so no lock is ever stale.
import Foundation

/// An advisory lock on a file (flock), held until it is released or the process ends.
final class FileLock: Sendable {
    enum Kind: Sendable { case shared, exclusive }

    private let descriptor: Int32

    init(path: String) throws {
        // O_CLOEXEC: a child that inherited the descriptor would hold the lock after us.
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SetupError("\(path) cannot be opened: \(lastSystemError()).") }
    }

    deinit { close(descriptor) }

    /// Takes the lock, or changes its kind, if nobody is in the way.
    func tryLock(_ kind: Kind) -> Bool {
        flock(descriptor, (kind == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0
    }

    func unlock() {
        _ = flock(descriptor, LOCK_UN)
    }

    /// Waits for the lock, looking ten times a second.
    /// - Parameter whenWaiting: called once when somebody is in the way, so that a person knows why nothing happens.
    func lock(_ kind: Kind, secondsMax: Int, whenWaiting: () -> Void) async throws -> Bool {
        let deadline = ContinuousClock.now.advanced(by: .seconds(secondsMax))
        var hasSaid = false
        while !tryLock(kind) {
            guard ContinuousClock.now < deadline else { return false }
            if !hasSaid { whenWaiting() }
            hasSaid = true
            try await Task.sleep(for: .milliseconds(100))
        }
        return true
    }
}
