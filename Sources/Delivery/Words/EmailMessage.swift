// An e-mail as it goes over the wire: headers that nobody can add a line to, and a text of its own language. Pure.
import Foundation
public import Primitives
public import Web

/// One plain-text e-mail to one address.
public struct EmailMessage: Sendable {
    public let id: OutgoingID
    public let to: EmailAddress
    public let subject: String
    public let text: String
    public let language: Language

    /// The message of RFC 5322 and RFC 2045 with CRLF line ends and without the final dot of SMTP. All of it is ASCII: texts are base64.
    /// - Parameters:
    ///   - sender: the city's own address, with the name that people see.
    ///   - domain: of the message's id, such as the host of `base_url`.
    ///   - date: when it is sent.
    func bytes(from sender: (name: String, address: EmailAddress), domain: String, date: Date) -> [UInt8] {
        let headers = [
            "From: \(Self.encodedWords(sender.name))\r\n <\(sender.address.text)>", "To: <\(to.text)>", "Subject: \(Self.encodedWords(subject))", "Date: \(Self.dateText(date))",
            "Message-ID: <\(id)@\(domain)>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64",
            "Content-Language: \(language.tag)",
            // No holiday notice answers it (RFC 3834 §5).
            "Auto-Submitted: auto-generated",
        ]
        let body = Data(text.replacingOccurrences(of: "\n", with: "\r\n").utf8).base64EncodedString()
        return Array((headers.joined(separator: "\r\n") + "\r\n\r\n" + Self.lines(body) + "\r\n").utf8)
    }

    /// A text as encoded words (RFC 2047 §4.1): whatever stands in it, a line end too, comes out as letters and digits.
    static func encodedWords(_ text: String) -> String {
        var words: [String] = []
        var part = ""
        // 39 bytes become 52 of base64, and with the 12 around them and the name of the header less than the 76 that such a line may have.
        for scalar in text.unicodeScalars {
            if part.utf8.count + 4 > 39 {
                words.append(part)
                part = ""
            }
            part.unicodeScalars.append(scalar)
        }
        words.append(part)
        return words.map { "=?UTF-8?B?\(Data($0.utf8).base64EncodedString())?=" }.joined(separator: "\r\n ")
    }

    /// Base64 in lines of 76 characters (RFC 2045 §6.8).
    private static func lines(_ base64: String) -> String {
        var lines: [Substring] = []
        var rest = base64[...]
        while !rest.isEmpty {
            lines.append(rest.prefix(76))
            rest = rest.dropFirst(76)
        }
        return lines.joined(separator: "\r\n")
    }

    /// RFC 5322 §3.3: `Sun, 22 Nov 2026 08:49:37 +0000`.
    static func dateText(_ date: Date) -> String {
        let (days, months) = (["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"], ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
        let seconds = Int(date.timeIntervalSince1970)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        func two(_ number: Int?) -> String { String(format: "%02d", number ?? 0) }
        // 1 January 1970 was a Thursday.
        return "\(days[seconds / 86_400 % 7]), \(two(parts.day)) \(months[(parts.month ?? 1) - 1]) \(parts.year ?? 1970) "
            + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) +0000"
    }
}
