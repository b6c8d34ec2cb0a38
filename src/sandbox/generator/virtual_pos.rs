//! Virtual-POS rows: the list's forty-three fields in the document's order.

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{date_time, people};
use crate::sandbox::random::Random;

/// One row of `/transactions-list`.
#[derive(Debug, Clone, Serialize)]
#[expect(non_snake_case, reason = "the source mixes camel and snake case in one object")]
pub(in crate::sandbox) struct VirtualPosRow {
    pub(in crate::sandbox) id: i64,
    pos_id: i64,
    musteri_id: i64,
    referans_kodu: String,
    aciklama: String,
    islem_tarihi: String,
    tutar: String,
    para_birimi: &'static str,
    taksit: i64,
    taksit_oran: String,
    taksit_tutar: String,
    kredi_kart_no: String,
    kredi_kart_banka: &'static str,
    ip_adresi: String,
    hata_kodu: &'static str,
    hata_mesaji: &'static str,
    durum: i64,
    tur: &'static str,
    order_id: String,
    trans_id: String,
    pos_name: &'static str,
    cc_family: &'static str,
    cc_org: &'static str,
    cc_type: &'static str,
    iade_tutar: Option<String>,
    tahsilat_id: Option<i64>,
    bayi_id: Option<i64>,
    invoiceInfoId: i64,
    invoiceType: &'static str,
    invoiceName: Option<String>,
    invoicePhone: Option<String>,
    invoiceTitle: Option<String>,
    invoiceTaxOffice: Option<String>,
    invoiceTaxNumber: Option<String>,
    invoiceEmail: Option<String>,
    invoiceAddress: Option<String>,
    infoEmails: &'static str,
    discountRate: &'static str,
    created_at: String,
    status_detail: StatusDetail,
    musteri: Buyer,
    bayi: Option<String>,
    tahsilat: Option<String>,
}

/// The coloured badge of the panel, in which the real status stands.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sandbox) struct StatusDetail {
    title: &'static str,
    text_color: &'static str,
    border_color: &'static str,
    bg_color: &'static str,
    pub(in crate::sandbox) status: &'static str,
}

/// The nested partial customer.
#[derive(Debug, Clone, Serialize)]
struct Buyer {
    id: i64,
    bayi_id: Option<i64>,
    unvan: String,
    resmi_unvan: Option<String>,
    yetkili_kisi: Option<String>,
    gsm: String,
    telefon: Option<String>,
    email: String,
    adres: Option<String>,
    vergi_no: Option<String>,
    vergi_dairesi: Option<String>,
}

/// The badge of a status of the list: `successful`, `failed`, `cancel` or `refund`.
pub(in crate::sandbox) fn status_detail(status: &str) -> StatusDetail {
    let (title, status, text_color, border_color, bg_color) = match status {
        "failed" => ("Başarısız", "failed", "E5484D", "F9D5D6", "FDEEEE"),
        "cancel" => ("İptal", "cancel", "8A8D93", "E3E4E6", "F4F4F5"),
        "refund" => ("İade", "refund", "F5A524", "FCE8C8", "FEF6E9"),
        _ => ("Başarılı", "successful", "4FC664", "DCF4E0", "EDF9EF"),
    };
    StatusDetail { title, text_color, border_color, bg_color, status }
}

/// Outcome of a payment: status, code, text, `durum`.
fn outcome(random: &mut Random) -> (&'static str, &'static str, &'static str, i64) {
    match random.below(100) {
        0..=9 => ("failed", "51", "Yetersiz bakiye", 0),
        10..=12 => ("cancel", "00", "İşlem Başarılı", 2),
        13..=15 => ("refund", "00", "İşlem Başarılı", 3),
        _ => ("successful", "00", "İşlem Başarılı", 1),
    }
}

fn buyer(customer: i64, name: String) -> Buyer {
    Buyer {
        id: customer,
        bayi_id: None,
        unvan: name,
        resmi_unvan: None,
        yetkili_kisi: None,
        gsm: format!("+90555000{:04}", customer % 10_000),
        telefon: None,
        email: format!("musteri{customer}@ornek.example"),
        adres: None,
        vergi_no: None,
        vergi_dairesi: None,
    }
}

/// Writes one row of the list.
pub(in crate::sandbox) fn virtual_pos_row(
    random: &mut Random,
    customer: (i64, String),
    id: i64,
    at: NaiveDateTime,
) -> VirtualPosRow {
    let (status, code, message, durum) = outcome(random);
    let kurus = random.kurus(4, 6);
    let taksit = if random.per_mille(250) { random.between(2, 6) } else { 1 };
    let rate = random.between(100, 300);
    let reference = format!("169VP{:015X}", random.next() >> 4);
    VirtualPosRow {
        id,
        pos_id: random.between(20, 24),
        musteri_id: customer.0,
        referans_kodu: reference.clone(),
        aciklama: if random.per_mille(800) { people::company(random) } else { String::new() },
        islem_tarihi: date_time(at),
        tutar: people::amount(kurus),
        para_birimi: "TRY",
        taksit,
        taksit_oran: format!("{}00", people::amount(rate)),
        // The total charged: what is left of it after the commission is the price.
        taksit_tutar: people::amount((kurus * 10_000 + 5_000) / (10_000 - rate)),
        kredi_kart_no: people::masked_card(random),
        kredi_kart_banka: random.word(&[
            "T.GARANTİ BANKASI A.Ş.",
            "QNB BANK A.Ş.",
            "AKBANK T.A.Ş.",
        ]),
        ip_adresi: format!("198.51.100.{}", random.between(1, 254)),
        hata_kodu: code,
        hata_mesaji: message,
        durum,
        tur: "islem",
        order_id: reference,
        trans_id: format!("IKSIRPF{}", random.digits(6)),
        pos_name: random.word(&["VOMSİS NKOLAY", "GARANTI", "AKBANK"]),
        cc_family: random.word(&["Miles&Smiles", "Cardfinans", "Bonus", "Axess", "World"]),
        cc_org: random.word(&["master_card", "visa", "troy"]),
        cc_type: random.word(&["CREDIT_CARD", "DEBIT_CARD"]),
        iade_tutar: (status == "refund").then(|| people::amount(kurus)),
        tahsilat_id: None,
        bayi_id: None,
        invoiceInfoId: customer.0,
        invoiceType: "commercial",
        invoiceName: None,
        invoicePhone: None,
        invoiceTitle: None,
        invoiceTaxOffice: None,
        invoiceTaxNumber: None,
        invoiceEmail: None,
        invoiceAddress: None,
        infoEmails: "",
        discountRate: "0.0000",
        created_at: date_time(at),
        status_detail: status_detail(status),
        musteri: buyer(customer.0, customer.1),
        bayi: None,
        tahsilat: None,
    }
}

impl VirtualPosRow {
    /// The status by which the list is filtered.
    pub(in crate::sandbox) const fn status(&self) -> &'static str {
        self.status_detail.status
    }

    /// The payment's reference.
    pub(in crate::sandbox) fn reference(&self) -> &str {
        &self.referans_kodu
    }
}
