// No way of printing shows what is inside.
import Foundation
import Primitives
import Testing

@Suite("Redacted")
struct RedactedTests {
    private struct Login {
        let name = "ada"
        let password = Redacted("correct horse")
    }

    @Test("prints nothing of its value, alone or inside another value")
    func printing() {
        let login = Login()
        var dumped = ""
        dump(login, to: &dumped)
        let texts = [
            "\(login.password)", String(describing: login), String(reflecting: login), dumped, "\([login.password])",
            "\(Optional(login.password) as Any)", String(reflecting: login.password),
        ]
        for text in texts {
            #expect(!text.contains("horse"))
            #expect(text.contains("[redacted]"))
        }
        #expect(Mirror(reflecting: login.password).children.isEmpty)
        #expect(login.password.reveal() == "correct horse")
    }

    @Test("decodes and compares like its value")
    func decoding() throws {
        let decoded = try JSONDecoder().decode([Redacted<String>].self, from: Data(#"["a","b"]"#.utf8))
        #expect(decoded == [Redacted("a"), Redacted("b")])
        #expect(Set(decoded).count == 2)
        #expect(!((decoded[0] as Any) is any Encodable))
    }
}
