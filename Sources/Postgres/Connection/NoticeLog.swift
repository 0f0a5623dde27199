// What the server says unasked (RAISE NOTICE, warnings, the farewell of a backend that is shut down) goes to the log.
import CLibpq
import Logging

/// Writes a connection's notices to a logger. Lives as long as the connection, which holds an unretained pointer to it.
final class NoticeLog: Sendable {
    private let logger: Logger

    init(logger: Logger) {
        self.logger = logger
    }

    fileprivate func write(_ notice: OpaquePointer) {
        func field(_ code: Character) -> String {
            PQresultErrorField(notice, Int32(code.asciiValue ?? 0)).map { String(cString: $0) } ?? ""
        }
        let severity = field("V")
        let level: Logger.Level =
            switch severity {
            case "WARNING", "ERROR", "FATAL", "PANIC": .warning
            case "NOTICE", "INFO": .info
            default: .debug
            }
        logger.log(level: level, "\(field("M"))", metadata: ["severity": "\(severity)", "sqlstate": "\(field("C"))"])
    }
}

/// libpq's callback; `context` is the connection's `NoticeLog`.
func receiveNotice(_ context: UnsafeMutableRawPointer?, _ notice: OpaquePointer?) {
    guard let context, let notice else { return }
    Unmanaged<NoticeLog>.fromOpaque(context).takeUnretainedValue().write(notice)
}
