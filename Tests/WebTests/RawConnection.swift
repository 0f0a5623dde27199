// A client that speaks bytes, for tests of what proper clients never do: stop in the middle, drip, announce too much.
import Foundation

/// A blocking TCP connection to loopback. Its calls run on a dispatch thread, so that no task of the pool waits.
final class RawConnection: @unchecked Sendable {
    struct Refused: Error {}

    private let descriptor: Int32
    private let queue = DispatchQueue(label: "raw-connection")

    /// - Throws: `Refused` when nobody listens.
    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else {
            Foundation.close(descriptor)
            throw Refused()
        }
    }

    deinit { Foundation.close(descriptor) }

    /// - Returns: whether the other side still takes bytes.
    @discardableResult func send(_ text: String) async -> Bool {
        await run { [descriptor] in
            let bytes = Array(text.utf8)
            return bytes.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } == bytes.count
        }
    }

    /// What arrives until the other side closes or a number of seconds has passed.
    func readToEnd(seconds: Int = 20) async -> (text: String, isClosed: Bool) {
        await run { [self] in read(seconds: seconds) { _ in false } }
    }

    /// What arrives until a text has been seen.
    func read(until text: String, seconds: Int = 20) async -> String {
        await run { [self] in read(seconds: seconds) { $0.contains(text) }.text }
    }

    /// Whether something, or the end, arrives within a time.
    func hasInput(milliseconds: Int) async -> Bool {
        await run { [descriptor] in
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return poll(&request, 1, Int32(milliseconds)) > 0
        }
    }

    private func read(seconds: Int, _ isEnough: (String) -> Bool) -> (text: String, isClosed: Bool) {
        let deadline = Date(timeIntervalSinceNow: Double(seconds))
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while Date() < deadline {
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&request, 1, 100) > 0 else { continue }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return (String(decoding: received, as: UTF8.self), true) }
            received.append(contentsOf: chunk[..<count])
            let text = String(decoding: received, as: UTF8.self)
            if isEnough(text) { return (text, false) }
        }
        return (String(decoding: received, as: UTF8.self), false)
    }

    private func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: work()) }
        }
    }
}
