// Reading the fields of a form, and the models that show them again.
import Postgres
import Primitives
import Testing

@testable import Web

private func reader(_ body: String) throws -> FormReader { FormReader(try Form(bytes: body.utf8)) }

@Suite struct FormReaderTests {
    private enum Method: String, CaseIterable { case signature, witness }

    @Test func missingAndBadFieldsAreNotedOnceEach() throws {
        var fields = try reader("long=abcdef&control=a%07b&method=other&age=12x&d-day=30&d-month=2&d-year=1990&many=a&many=a")
        _ = fields.text("absent", charactersMax: 5)
        _ = fields.text("long", charactersMax: 5)
        _ = fields.text("control", charactersMax: 5)
        _ = fields.choice("method", of: Method.self)
        _ = fields.integer("age", in: 1...120)
        _ = fields.date("d")
        _ = fields.list("many", from: ["a", "b"])
        _ = fields.secret("password")
        _ = fields.longText("note", charactersMax: 5)
        _ = fields.choice("offered", from: ["x"])
        _ = fields.date("empty")
        #expect(
            fields.errors.map { "\($0.field): \($0.messageKey.dropFirst(10))" } == [
                "absent: required", "long: too_long", "control: control_characters", "method: choose", "age: number", "d: date",
                "many: choose",
                "password: required", "note: required", "offered: choose", "empty: required",
            ])
        #expect(!fields.isValid)
    }

    @Test func goodFieldsComeThrough() throws {
        var fields = try reader(
            "name=+Jose%CC%81++&note=a%0D%0Ab%0Dc%0Ad&method=witness&agree=yes&age=-3&d-day=01&d-month=2&d-year=2004&pick=b&pick=a&empty=++&password=+p%C3%A9+"
        )
        let name = fields.text("name", charactersMax: 5)
        let note = fields.longText("note", charactersMax: 10)
        let method = fields.choice("method", of: Method.self)
        let (agree, other, age) = (fields.flag("agree"), fields.flag("other"), fields.integer("age", in: -5...5))
        let (date, pick, empty) = (fields.date("d"), fields.list("pick", from: ["a", "b"]), fields.optionalText("empty", charactersMax: 5))
        let password = fields.secret("password")
        #expect(fields.isValid, "\(fields.errors)")
        #expect(name.unicodeScalars.count == 5 && Array(name.utf8) == Array("Jose\u{301}".utf8))
        #expect(note == "a\nb\nc\nd")
        #expect(method == .witness && agree && !other && age == -3)
        #expect(date == CalendarDay(year: 2004, month: 2, day: 1) && pick == ["b", "a"] && empty == nil)
        #expect(password?.reveal() == " pé ")
    }

    @Test func secretsNeverComeBack() throws {
        var fields = try reader("name=Ada&password=hunter2&form_token=abc")
        _ = fields.text("name", charactersMax: 10)
        let password = fields.secret("password")
        #expect(fields.state.typed == ["name": ["Ada"]])
        #expect("\(String(describing: password))".contains("hunter2") == false)
    }

    @Test(arguments: ["31-4-2020", "29-2-2023", "0-1-2020", "1-13-2020", "1-1-20", "1-1-99999", "%2B1-1-2020", "a-1-2020", "-1-2020"])
    func impossibleDatesAreRefused(text: String) throws {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        var fields = try reader("d-day=\(parts[0])&d-month=\(parts[1])&d-year=\(parts[2])")
        let date = fields.date("d")
        #expect(date == nil && fields.errors.map(\.messageKey) == ["web.field.date"])
    }

    @Test func tooManyParametersAreRefused() {
        let body = (0..<251).map { "a\($0)=1" }.joined(separator: "&")
        #expect(throws: Problem.self) { try Form(bytes: body.utf8) }
    }

    @Test func fieldsShowWhatWasTypedWithTheirErrorsAndHints() throws {
        var fields = try reader("name=%3Cb%3E&colour=red&tick=yes&d-day=1")
        fields.reject("name", "taken", ["name": "x"])
        fields.reject("d", "web.field.date")
        let texts = ["taken": "{name} is taken", "web.field.date": "Enter a real date", "born": "Born on", "web.error_of_field": "{field}: {message}"]
        let view = FormView(state: fields.state, catalogue: Catalogue(language: .english, texts: texts))
        let errors = view.errors
        let name = view.text("name", label: "label", hint: "hint", autocomplete: "username")
        #expect((name.child(named: "value") as? ShownText)?.renderText == "<b>")
        #expect((name.child(named: "error") as? ShownText)?.renderText == "x is taken")
        #expect((name.child(named: "described_by") as? ShownText)?.renderText == "name-hint name-error")
        let colours = view.choices("colour", label: "label", options: [("blue", "Blue"), ("red", "Red")])
        #expect(colours.options.map(\.isChosen) == [false, true])
        #expect(colours.options.map(\.id) == ["colour", "colour-2"])
        #expect(view.tick("tick", label: "label").isTicked)
        let date = view.date("d", label: "born")
        #expect(date.day == "1" && date.error == "Enter a real date")
        // The list on top was made before the fields and names them all the same.
        #expect(errors?.items.map(\.link.text) == ["#name", "#d"])
        #expect(errors?.items.map(\.text) == ["x is taken", "Born on: Enter a real date"])
        #expect(view.password("password", label: "label").value == "")
    }
}
