// The one thread that owns a pool's sockets. It sleeps in poll(2) until a socket is ready, a deadline passes or work arrives, so no thread
// of Swift's cooperative pool ever waits for the database. It is also the executor of the `Pool` actor: the compiler then
// checks that connections, which libpq forbids to share, are touched here only.
//
// A thread and poll(2) rather than a dispatch source for each socket: a source costs two thread changes for each readiness, and one turn of
// this loop serves all sockets and everything that was queued meanwhile.
import Foundation
import Synchronization

final class SocketThread: SerialExecutor {
    private struct Inbox {
        var work: [Pool.Work] = []
        var isAsleep = false
        var isClosed = false
    }

    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private let wakeRead: Int32
    private let wakeWrite: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw DatabaseError.unavailable }
        (wakeRead, wakeWrite) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(wakeRead)
        close(wakeWrite)
    }

    /// Runs `loop` on the new thread; the thread ends when it returns.
    func start(_ loop: @escaping @Sendable () -> Void) {
        let thread = Thread { [self] in
            self.thread.store(currentThread(), ordering: .releasing)
            loop()
        }
        thread.name = "postgres"
        thread.start()
    }

    /// Hands work to the thread and wakes it if it sleeps. From any thread. Returns false after the pool was closed.
    @discardableResult
    func post(_ work: Pool.Work) -> Bool {
        let (accepted, wakes) = inbox.withLock { inbox in
            if inbox.isClosed, !work.isJob { return (false, false) }
            inbox.work.append(work)
            defer { inbox.isAsleep = false }
            return (true, inbox.isAsleep)
        }
        if wakes { wake() }
        return accepted
    }

    /// Takes what has arrived, leaving an empty array of the same capacity behind.
    func take(into work: inout [Pool.Work]) {
        inbox.withLock { inbox in
            inbox.isAsleep = false
            swap(&inbox.work, &work)
        }
    }

    /// Sleeps until a socket is ready, work arrives, or the time is up. Sets `revents`.
    func wait(for sockets: inout [pollfd], milliseconds: Int32) {
        let isIdle = inbox.withLock { inbox in
            inbox.isAsleep = inbox.work.isEmpty
            return inbox.isAsleep
        }
        sockets.append(pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0))
        let count = poll(&sockets, nfds_t(sockets.count), isIdle ? milliseconds : 0)
        let wake = sockets.removeLast()
        // An interrupted poll leaves revents undefined.
        if count < 0 { for index in sockets.indices { sockets[index].revents = 0 } }
        if count > 0, wake.revents != 0 { drainWakes() }
    }

    /// From now on only jobs of the actor are taken; returns what lay unread.
    func closeInbox() {
        inbox.withLock { $0.isClosed = true }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        post(.job(UnownedJob(job)))
    }

    func checkIsolated() {
        precondition(thread.load(ordering: .acquiring) == currentThread(), "a connection was touched outside its thread")
    }

    private func wake() {
        var byte: UInt8 = 1
        _ = write(wakeWrite, &byte, 1)
    }

    private func drainWakes() {
        var bytes: (UInt64, UInt64) = (0, 0)
        _ = withUnsafeMutableBytes(of: &bytes) { read(wakeRead, $0.baseAddress, $0.count) }
    }
}

private func currentThread() -> UInt { UInt(bitPattern: Int(pthread_self())) }
