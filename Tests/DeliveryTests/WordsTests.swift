// Addresses, lengths and headers: what nobody can smuggle anything through.
import Foundation
import Primitives
import Testing
import Web

@testable import Delivery

@Suite("Words of messages")
struct WordsTests {
    @Test("What is no plain e-mail address is none", arguments: [
        "", "ada", "@example.org", "ada@", "ada@example", "ada@@example.org", "ada@example.org\r\nBCC: eve@example.org", "ada@example.org\n", "ada@exa\rmple.org",
        "ada @example.org", "ada@example.org,eve@example.org", "<ada@example.org>", "\"ada\"@example.org", "ada@[192.0.2.1]", "ada@-example.org", "ada@example-.org",
        "ada@.example.org", "ada@example.org.", ".ada@example.org", "ada.@example.org", "a..b@example.org", "ada@example.org\0", "ädä@example.org", "ada@exämple.org",
        "ada@example.org>", String(repeating: "a", count: 65) + "@example.org", "a@" + String(repeating: "b.", count: 126) + "org",
    ])
    func noAddress(_ text: String) {
        #expect(EmailAddress(text) == nil)
    }

    @Test("A plain one is, with its domain in small letters", arguments: [
        ("ada@example.org", "ada@example.org"), ("Ada.Lovelace+stoa@EXAMPLE.org", "Ada.Lovelace+stoa@example.org"), ("o'brien@xn--exmple-cua.org", "o'brien@xn--exmple-cua.org"),
    ])
    func address(_ text: String, _ kept: String) {
        #expect(EmailAddress(text)?.text == kept)
        #expect("\(EmailAddress(text)!)" == "[redacted]")
    }

    @Test("A phone number is + and digits", arguments: [("+254712345678", true), ("254712345678", false), ("+25471234567890123", false), ("+٢٥٤٧١٢٣٤٥", false), ("+1234567\n", false)])
    func phone(_ text: String, _ isOne: Bool) {
        #expect((PhoneNumber(text) != nil) == isOne)
    }

    @Test("Septets are counted as the standard counts them: characters of the extension table twice", arguments: [
        ("", 0), ("abc", 3), ("@£$¥èéùìòÇØøÅå", 14), ("^{}\\[~]|€", 18), ("\u{C}", 2), ("a\nb", 3), ("ΔΦΓΛΩΠΨΣΘΞ", 10),
    ])
    func septets(_ text: String, _ count: Int) {
        #expect(ShortMessage.septets(of: text) == count)
    }

    @Test("What is not in the alphabet makes it UCS-2", arguments: ["ç", "ê", "`", "„", "خ", "α", "😀", "\u{1B}"])
    func notInAlphabet(_ text: String) {
        #expect(ShortMessage.septets(of: text) == nil)
    }

    @Test("160 septets fit and 161 do not; 70 units fit and 71 do not")
    func lengths() {
        let letters = { (letter: String, count: Int) in String(repeating: letter, count: count) }
        #expect(ShortMessage(letters("a", 160)) != nil && ShortMessage(letters("a", 161)) == nil)
        #expect(ShortMessage(letters("€", 80)) != nil && ShortMessage(letters("€", 80) + "a") == nil && ShortMessage(letters("a", 159) + "€") == nil)
        #expect(ShortMessage(letters("خ", 70)) != nil && ShortMessage(letters("خ", 71)) == nil)
        // Outside the basic plane a character is two units.
        #expect(ShortMessage(letters("😀", 35)) != nil && ShortMessage(letters("😀", 36)) == nil)
        #expect(ShortMessage("") == nil)
    }

    @Test("Typography becomes what phones have, so that a French text stays in the small alphabet")
    func typography() throws {
        let message = try #require(ShortMessage("Votre ville\u{A0}: «\u{202F}l’été\u{202F}» “x”"))
        #expect(message.text.contains("ville : ") && message.text.contains("l'été") && message.text.contains("\"x\""))
    }

    @Test("Every message fits in every language; a name that is too long stops the start")
    func texts() throws {
        _ = try Post.texts()
        _ = try Post.texts(city: "Stoa", baseURL: "http://localhost:8080")
        #expect(throws: OutgoingTexts.Failure.self) { try Post.texts(city: String(repeating: "Ville de Saint-Martin-", count: 8)) }
        for language in Language.allCases {
            for template in OutgoingTemplate.allCases where template.channels.contains(.email) {
                let (subject, text) = try Post.texts().email(template, ["code": "1234 5678", "minutes": "10"], in: language)
                #expect(text.contains("https://stoa.example") && !subject.contains("\n"))
                #expect(!text.contains("{") && !subject.contains("{"), "\(text)")
            }
        }
    }

    @Test("Whatever a name or a subject holds, the header has the lines that it should have, all in ASCII and none too long")
    func headers() throws {
        let address = try #require(EmailAddress("no-reply@stoa.example"))
        let message = EmailMessage(
            id: .new(), to: try #require(EmailAddress("ada@example.org")), subject: "Nouvelles\r\nBCC: eve@example.org\r\n\r\nلديك جديد " + String(repeating: "é", count: 100),
            text: ".\n.\nA line\n" + String(repeating: "x", count: 2000), language: .french)
        let bytes = message.bytes(from: ("Marisport\r\nX-Evil: 1", address), domain: "stoa.example", date: Date(timeIntervalSince1970: 1_795_337_377))
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(bytes.allSatisfy { $0 < 0x7F })
        let lines = text.components(separatedBy: "\r\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 76 && !$0.contains("\n") && !$0.contains("\r") })
        let head = lines.prefix { !$0.isEmpty }.filter { !$0.hasPrefix(" ") }.map { $0.prefix { $0 != ":" } }
        #expect(
            head == [
                "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Language", "Auto-Submitted",
            ])
        #expect(text.contains("Date: Sun, 22 Nov 2026 08:49:37 +0000"))
        let body = try #require(Data(base64Encoded: lines.drop { !$0.isEmpty }.joined()))
        #expect(String(decoding: body, as: UTF8.self).hasPrefix(".\r\n.\r\nA line\r\n"))
    }
}
